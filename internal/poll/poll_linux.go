package poll

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Poller is one set of descriptors. Set and Remove may be called from any goroutine, Wait by one.
type Poller struct {
	fd     int
	file   *os.File
	raw    syscall.RawConn
	events []syscall.EpollEvent
	found  int
	look   func(fd uintptr) bool

	mu     sync.Mutex // a leaf
	wakeFD int        // -1: closed
}

const wakeToken = ^uint64(0)

// New makes an empty set.
func New() (*Poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("poll: epoll_create1: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("poll: %w", err)
	}
	p := &Poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), events: make([]syscall.EpollEvent, 256)}
	p.look = p.lookNow
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("poll: %w", err)
	}
	wake, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		p.file.Close()
		return nil, fmt.Errorf("poll: eventfd: %w", errno)
	}
	p.wakeFD = int(wake)
	if err := p.Set(p.wakeFD, wakeToken, true, false, true); err != nil {
		p.file.Close()
		syscall.Close(p.wakeFD)
		return nil, err
	}
	return p, nil
}

// Set makes the set watch fd for reading, writing, or both; first says that it is not in the set yet.
func (p *Poller) Set(fd int, token uint64, in, out, first bool) error {
	var ev syscall.EpollEvent
	if in {
		ev.Events |= syscall.EPOLLIN | syscall.EPOLLRDHUP
	}
	if out {
		ev.Events |= syscall.EPOLLOUT
	}
	ev.Fd, ev.Pad = int32(uint32(token)), int32(uint32(token>>32))
	op := syscall.EPOLL_CTL_MOD
	if first {
		op = syscall.EPOLL_CTL_ADD
	}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("poll: epoll_ctl: %w", errno)
	}
	return nil
}

// Remove makes the set forget fd. A mask without anything would not do: hang-ups are always reported.
func (p *Poller) Remove(fd int) {
	var ev syscall.EpollEvent
	syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(p.fd), syscall.EPOLL_CTL_DEL, uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
}

// Wait waits until something is ready and appends what to evs. After Wake it may return nothing; after Close it returns
// os.ErrClosed.
func (p *Poller) Wait(evs []Event) ([]Event, error) {
	p.lookNow(uintptr(p.fd))
	if p.found == 0 {
		if err := p.raw.Read(p.look); err != nil {
			return evs, os.ErrClosed
		}
	}
	for i := range p.found {
		e := &p.events[i]
		token := uint64(uint32(e.Pad))<<32 | uint64(uint32(e.Fd))
		if token == wakeToken {
			p.quiet()
			continue
		}
		evs = append(evs, Event{
			Token: token,
			In:    e.Events&^syscall.EPOLLOUT != 0,
			Out:   e.Events&(syscall.EPOLLOUT|syscall.EPOLLERR|syscall.EPOLLHUP) != 0,
		})
	}
	return evs, nil
}

// lookNow asks without waiting.
func (p *Poller) lookNow(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		n = 0
	}
	p.found = int(n)
	return n > 0
}

// Wake makes Wait return. It may be called from any goroutine, after Close too.
func (p *Poller) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakeFD >= 0 { // a closed descriptor may be somebody else's by now
		some := [8]byte{1} // any number will do
		write(p.wakeFD, some[:])
	}
}

// quiet takes back what Wake has written.
func (p *Poller) quiet() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakeFD >= 0 {
		var b [8]byte
		read(p.wakeFD, b[:])
	}
}

// Close frees the set. It is called when Wait is not running, by the goroutine that calls it.
func (p *Poller) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakeFD < 0 {
		return os.ErrClosed
	}
	err := errors.Join(p.file.Close(), syscall.Close(p.wakeFD))
	p.wakeFD = -1
	return err
}

func read(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func write(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// Read reads what is there: at most Most bytes. ErrAgain: nothing is; 0 and nil: the end.
func Read(fd int, b []byte) (int, error) {
	if len(b) > Most {
		b = b[:Most]
	}
	for {
		n, errno := read(fd, b)
		switch errno {
		case 0:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, ErrAgain
		default:
			return 0, errno
		}
	}
}

// Write writes what the socket takes, at most Most bytes. ErrAgain: it takes nothing now.
func Write(fd int, b []byte) (int, error) {
	if len(b) > Most {
		b = b[:Most]
	}
	for {
		n, errno := write(fd, b)
		switch errno {
		case 0:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, ErrAgain
		default:
			return 0, errno
		}
	}
}

// WriteAll writes several buffers at once, at most Most bytes and 64 buffers of them.
func WriteAll(fd int, bufs [][]byte) (int, error) {
	var vec [64]syscall.Iovec
	n, total := 0, 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if n == len(vec) || total == Most {
			break
		}
		if len(b) > Most-total {
			b = b[:Most-total]
		}
		vec[n].Base = unsafe.SliceData(b)
		vec[n].SetLen(len(b))
		total += len(b)
		n++
	}
	for {
		k, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(n))
		switch errno {
		case 0:
			return int(k), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, ErrAgain
		default:
			return 0, errno
		}
	}
}

// Accept takes a connection from a listening socket, non-blocking and, if it is TCP, without delay.
func Accept(fd int) (int, syscall.Sockaddr, error) {
	for {
		n, sa, err := syscall.Accept4(fd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		switch err {
		case nil:
			if _, unix := sa.(*syscall.SockaddrUnix); !unix {
				syscall.SetsockoptInt(n, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
			}
			return n, sa, nil
		case syscall.EINTR, syscall.ECONNABORTED:
		case syscall.EAGAIN:
			return -1, nil, ErrAgain
		default:
			return -1, nil, err
		}
	}
}

// CloseWrite tells the peer that nothing more comes.
func CloseWrite(fd int) { syscall.Shutdown(fd, syscall.SHUT_WR) }

// Close closes fd.
func Close(fd int) { syscall.Close(fd) }

// Dup makes another descriptor of the same socket.
func Dup(fd int) (int, error) {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, fmt.Errorf("poll: dup: %w", errno)
	}
	return int(n), nil
}
