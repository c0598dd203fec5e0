package client

import (
	"errors"
	"fmt"
	"io"

	"github.com/e8743928/mqttx/packet"
)

// inbox cuts the stream from the server into packets. Only one goroutine may use
// it.
type inbox struct {
	buf   []byte
	r, w  int // buf[r:w] is read and not used yet
	size  int // of buf to begin with
	limit int // greatest packet; 0: none
}

// keepFactor times size is how large a buffer may stay once it has grown.
const keepFactor = 16

// next is the next packet if all of it is there; body is valid until fill. Type,
// flags and size are judged as soon as they are known, before the body has come.
func (in *inbox) next(v packet.Version) (h packet.Header, body []byte, ok bool, err error) {
	b := in.buf[in.r:in.w]
	h, n, err := packet.ParseHeader(b)
	if err != nil || n == 0 {
		return h, nil, false, err
	}
	if err := h.Check(v); err != nil {
		return h, nil, false, err
	}
	size := n + h.Length
	if in.limit > 0 && size > in.limit {
		fault := &packet.Error{Code: packet.PacketTooLarge, Packet: h.Type}
		fault.What = fmt.Sprintf("%d bytes, over the Maximum Packet Size of %d", size, in.limit)
		if v >= packet.V5 {
			fault.Statement = "MQTT-3.1.2-24"
		}
		return h, nil, false, fault
	}
	if len(b) < size {
		return h, nil, false, nil
	}
	in.r += size
	return h, b[n:size:size], true, nil
}

// fill reads once. The buffer doubles when it is full, so a length that the
// server only claims takes no memory.
func (in *inbox) fill(r io.Reader) error {
	in.w = copy(in.buf, in.buf[in.r:in.w])
	in.r = 0
	switch {
	case len(in.buf) == 0, in.w == 0 && len(in.buf) > keepFactor*in.size:
		in.buf = make([]byte, in.size)
	case in.w == len(in.buf):
		in.buf = append(in.buf, make([]byte, len(in.buf))...)
	}
	n, err := r.Read(in.buf[in.w:])
	in.w += n
	switch {
	case n > 0 || err == nil:
		return nil
	case errors.Is(err, io.EOF) && in.w == 0:
		return ErrServerClosed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w in the middle of a packet", ErrServerClosed)
	}
	return fmt.Errorf("connection lost: %w", err)
}
