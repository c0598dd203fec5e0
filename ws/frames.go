package ws

import (
	"encoding/binary"
	"fmt"

	gobwas "github.com/gobwas/ws"
)

// maxPayload is the longest frame taken: as long as the largest MQTT packet.
const maxPayload = 268_435_455 + 5

// frames takes the client's frames apart. It is fed the bytes as they come and keeps no data, only where in a frame it is.
type frames struct {
	ping func(payload []byte) // called for each ping; payload is valid during the call

	head    [gobwas.MaxHeaderSize]byte // the beginning of a header
	have    int                        // bytes of it
	op      gobwas.OpCode              // of the frame whose payload comes
	left    int                        // bytes of it that have not come
	mask    [4]byte
	at      int    // where in mask the next byte is, modulo 4
	control []byte // the payload of a control frame so far
	state   gobwas.State
	end     *frameError // why no more frames are taken; nil: they are
}

// frameError ends the reading of frames.
type frameError struct {
	code   gobwas.StatusCode // for the close frame; 0: it has none
	text   string
	byPeer bool // a close frame came
}

// Error tells what is wrong with the frames.
func (e *frameError) Error() string { return "ws: " + e.text }

// decode replaces the bytes of frames in b by the data in them, which is never more: b[:n]. It takes no more once there is
// an end.
func (f *frames) decode(b []byte) (n int) {
	for i := 0; i < len(b) && f.end == nil; {
		if f.left == 0 {
			i += f.takeHeader(b[i:])
			continue
		}
		part := b[i:min(len(b), i+f.left)]
		gobwas.Cipher(part, f.mask, f.at)
		f.at = (f.at + len(part)) % 4
		f.left -= len(part)
		i += len(part)
		if !f.op.IsControl() {
			n += copy(b[n:], part)
			continue
		}
		f.control = append(f.control, part...)
		if f.left == 0 {
			f.endControl()
		}
	}
	return n
}

// takeHeader takes bytes of a header, no more than it has, and tells how many.
func (f *frames) takeHeader(b []byte) (used int) {
	for f.end == nil {
		need := f.headerSize()
		k := copy(f.head[f.have:need], b[used:])
		f.have += k
		used += k
		switch {
		case f.have < need:
			return used
		case need == 2:
			f.judgeHeader()
		default:
			f.beginFrame(need)
			return used
		}
	}
	return used
}

// headerSize is how long the header is as far as can be told: 2 until its first 2 bytes are there.
func (f *frames) headerSize() int {
	if f.have < 2 {
		return 2
	}
	switch f.head[1] & 0x7F {
	case 126:
		return 2 + 2 + 4
	case 127:
		return 2 + 8 + 4
	}
	return 2 + 4
}

// judgeHeader refuses a frame by its first 2 bytes.
func (f *frames) judgeHeader() {
	first, second := f.head[0], f.head[1]
	h := gobwas.Header{
		Fin: first&0x80 != 0, Rsv: first >> 4 & 7, OpCode: gobwas.OpCode(first & 0xF),
		Masked: second&0x80 != 0, Length: int64(second & 0x7F),
	}
	if err := gobwas.CheckHeader(h, f.state|gobwas.StateServerSide); err != nil {
		f.fail(gobwas.StatusProtocolError, err.Error())
		return
	}
	f.op = h.OpCode
	switch {
	case h.OpCode.IsControl():
	case h.OpCode == gobwas.OpText:
		f.fail(gobwas.StatusUnsupportedData, "text frame, MQTT takes binary ones [MQTT-6.0.0-1]")
	case h.Fin:
		f.state = f.state.Clear(gobwas.StateFragmented)
	default:
		f.state = f.state.Set(gobwas.StateFragmented)
	}
}

// beginFrame goes on to the payload of the frame whose header of that size is whole.
func (f *frames) beginFrame(size int) {
	length := uint64(f.head[1] & 0x7F)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		length = binary.BigEndian.Uint64(f.head[2:])
	}
	copy(f.mask[:], f.head[size-4:size])
	f.at, f.have = 0, 0
	switch {
	case length>>63 != 0:
		f.fail(gobwas.StatusProtocolError, "length of 64 bits")
	case length > maxPayload:
		f.fail(gobwas.StatusMessageTooBig, fmt.Sprintf("frame of %d bytes, the largest packet has %d", length, maxPayload))
	default:
		f.left = int(length)
		if f.left == 0 && f.op.IsControl() {
			f.endControl()
		}
	}
}

// endControl does what a control frame asks for. Pongs ask for nothing.
func (f *frames) endControl() {
	payload := f.control
	f.control = nil
	switch f.op {
	case gobwas.OpPing:
		f.ping(payload)
	case gobwas.OpClose:
		f.closedByPeer(payload)
	}
}

func (f *frames) closedByPeer(payload []byte) {
	if len(payload) == 0 {
		f.end = &frameError{text: "the client closed", byPeer: true}
		return
	}
	code, reason := gobwas.ParseCloseFrameData(payload)
	if err := gobwas.CheckCloseFrameData(code, reason); err != nil {
		f.fail(gobwas.StatusProtocolError, "close frame: "+err.Error())
		return
	}
	f.end = &frameError{code: code, text: fmt.Sprintf("the client closed with code %d %q", code, reason), byPeer: true}
}

func (f *frames) fail(code gobwas.StatusCode, text string) {
	f.end = &frameError{code: code, text: text}
}

// appendHeader appends the header of a frame to a client: whole and not masked.
func appendHeader(b []byte, op gobwas.OpCode, length int) []byte {
	b = append(b, 0x80|byte(op))
	switch {
	case length < 126:
		return append(b, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(length))
}
