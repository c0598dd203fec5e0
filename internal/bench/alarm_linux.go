package bench

import (
	"context"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// The flags of timerfd_create.
const (
	clockMonotonic = 1
	timerNonblock  = syscall.O_NONBLOCK
	timerCloexec   = syscall.O_CLOEXEC
)

// fdAlarm is a timer of the kernel that Go's poller waits for like for a connection. Go's own timers are what the poller
// waits for no more exactly than to the millisecond.
type fdAlarm struct {
	ctx  context.Context
	f    *os.File
	free func() bool // the context no longer closes f
}

// timerSpec is struct itimerspec.
type timerSpec struct{ interval, value syscall.Timespec }

// newPreciseAlarm gives nil if there is no such timer.
func newPreciseAlarm(ctx context.Context) alarm {
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, clockMonotonic, timerNonblock|timerCloexec, 0)
	if errno != 0 {
		return nil
	}
	a := &fdAlarm{ctx: ctx, f: os.NewFile(fd, "timer")}
	if err := a.f.SetDeadline(time.Time{}); err != nil { // not with the poller, so that Close would not wake
		_ = a.f.Close()
		return nil
	}
	a.free = context.AfterFunc(ctx, func() { _ = a.f.Close() })
	return a
}

func (a *fdAlarm) wait(d time.Duration) bool {
	if d <= 0 {
		return a.ctx.Err() == nil
	}
	spec := timerSpec{value: syscall.NsecToTimespec(int64(d))}
	raw, err := a.f.SyscallConn()
	if err != nil {
		return false
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
	if err != nil || errno != 0 {
		return false
	}
	var expirations [8]byte
	_, err = a.f.Read(expirations[:])
	return err == nil
}

func (a *fdAlarm) stop() {
	a.free()
	_ = a.f.Close()
}
