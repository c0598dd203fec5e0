package bench

import (
	"syscall"
	"unsafe"
)

// schedClock marks the clock of a process's CPU time as the scheduler counts it.
const schedClock = 2

// cpuTime is the CPU time of all threads that a process has had, in microseconds, more exact than /proc tells it.
// false: the system does not say.
func cpuTime(pid int) (micros float64, ok bool) {
	var t syscall.Timespec
	clock := uintptr(^pid<<3 | schedClock)
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0)
	return float64(t.Nano()) / 1000, errno == 0
}
