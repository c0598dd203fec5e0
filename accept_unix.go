//go:build unix

package mqttx

import (
	"errors"
	"syscall"
)

// passesErrno tells whether an error of accept(2) that is not temporary in the eyes of package syscall goes away by itself: a
// client that has gone before it was accepted, or memory that is short.
func passesErrno(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ECONNABORTED, syscall.EPROTO, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
