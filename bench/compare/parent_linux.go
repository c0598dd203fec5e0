package main

import "syscall"

// withParent has a process end with this one, however that ends. Linux counts the thread that started it as the parent,
// which Go does not end while no goroutine is locked to it.
func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
