//go:build unix

package mqttx

import (
	"io"
	"net"
	"sync"
	"syscall"
)

var readBuffers = sync.Pool{New: func() any { return new([largeRead]byte) }}

// newSource reads sockets with a buffer that is borrowed only while bytes are there; an idle connection holds none.
func newSource(nc net.Conn) source {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		if raw, err := nc.(syscall.Conn).SyscallConn(); err == nil {
			return &rawSource{raw: raw}
		}
	}
	return &plainSource{nc: nc}
}

type rawSource struct {
	raw syscall.RawConn
	buf *[largeRead]byte
	n   int
	err error
}

func (s *rawSource) next() ([]byte, error) {
	s.release()
	s.n, s.err = 0, nil
	err := s.raw.Read(s.try)
	if s.err != nil {
		err = s.err
	}
	if s.buf == nil {
		return nil, err
	}
	return s.buf[:s.n], err
}

// try reads once; false: nothing is there yet.
func (s *rawSource) try(fd uintptr) bool {
	buf := readBuffers.Get().(*[largeRead]byte)
	for {
		n, err := syscall.Read(int(fd), buf[:])
		switch {
		case n > 0:
			s.buf, s.n = buf, n
			return true
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			readBuffers.Put(buf)
			return false
		case err == nil:
			err = io.EOF
		}
		readBuffers.Put(buf)
		s.err = err
		return true
	}
}

func (s *rawSource) release() {
	if s.buf != nil {
		readBuffers.Put(s.buf)
		s.buf = nil
	}
}

func (s *rawSource) close() { s.release() }
