//go:build unix

package mqttest

import "syscall"

// errReset is the error of Read when the other side closed with bytes unread.
const errReset = syscall.ECONNRESET
