package bench

import (
	"encoding/binary"
	"time"
)

// stamp is what a payload begins with.
type stamp struct {
	run       uint32
	publisher uint32
	number    uint64 // of the publisher's messages, from 0
	due       int64  // of the clock; in the closed loop when it was handed to the client
}

// stampMark tells stamps from what others publish.
const (
	stampMark = "mqxb"
	stampSize = len(stampMark) + 4 + 4 + 8 + 8
)

// put writes the stamp to the beginning of b, which has room for it.
func (s stamp) put(b []byte) {
	copy(b, stampMark)
	binary.BigEndian.PutUint32(b[4:], s.run)
	binary.BigEndian.PutUint32(b[8:], s.publisher)
	binary.BigEndian.PutUint64(b[12:], s.number)
	binary.BigEndian.PutUint64(b[20:], uint64(s.due))
}

// readStamp reads the stamp; false: there is none.
func readStamp(b []byte) (s stamp, ok bool) {
	if len(b) < stampSize || string(b[:len(stampMark)]) != stampMark {
		return s, false
	}
	return stamp{
		run:       binary.BigEndian.Uint32(b[4:]),
		publisher: binary.BigEndian.Uint32(b[8:]),
		number:    binary.BigEndian.Uint64(b[12:]),
		due:       int64(binary.BigEndian.Uint64(b[20:])),
	}, true
}

// filler is what follows the stamp, in every payload the same.
func filler(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%23)
	}
	return b
}

// clock tells nanoseconds of Unix time that never go back while the process runs. Two processes of one machine agree as
// long as nobody sets the time.
type clock struct {
	base time.Time
	unix int64
}

func newClock() clock {
	now := time.Now()
	return clock{now, now.UnixNano()}
}

func (c clock) now() int64 { return c.unix + int64(time.Since(c.base)) }

// when is the time of a reading.
func (c clock) when(reading int64) time.Time { return c.base.Add(time.Duration(reading - c.unix)) }
