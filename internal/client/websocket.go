package client

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// webSocket is the stream in the binary frames of a WebSocket, seen from the client
// after the handshake [MQTT-6.0.0-1]. Packets and frames do not have to coincide
// [MQTT-6.0.0-2]. Deadlines are those of the connection below.
type webSocket struct {
	net.Conn // below

	// Only the goroutine that reads.
	in     *bufio.Reader
	header [ws.MaxHeaderSize]byte
	state  ws.State
	left   int64 // bytes of the current data frame
	end    error // nothing more comes

	// Any goroutine, under mu, which is held over a write to the connection below.
	mu     sync.Mutex
	frame  []byte
	closed bool // a close was sent, nothing may follow it

	// Any goroutine, under pongMu.
	pongMu  sync.Mutex
	pong    []byte // of the latest ping, to be sent; nil: none
	ponging bool   // a goroutine sends pongs
}

// keepFrame is how large the buffer for a frame may stay.
const keepFrame = 16384

// newWebSocket continues with what came behind the handshake.
func newWebSocket(nc net.Conn, leftover []byte, size int) *webSocket {
	var r io.Reader = nc
	if len(leftover) > 0 {
		r = io.MultiReader(bytes.NewReader(leftover), nc)
	}
	return &webSocket{Conn: nc, in: bufio.NewReaderSize(r, size), state: ws.StateClientSide}
}

// Read reads what is there of data frames, and at least one byte. It answers pings
// and a close.
func (w *webSocket) Read(b []byte) (int, error) {
	for w.left == 0 {
		if err := w.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := w.readData(b)
	for err == nil && n < len(b) && w.in.Buffered() >= maxHeadAndControl {
		// Nothing here waits for the network.
		if w.left == 0 {
			err = w.nextFrame()
			continue
		}
		var more int
		more, err = w.readData(b[n:])
		n += more
	}
	if n > 0 && err != nil {
		w.end, err = err, nil
	}
	return n, err
}

// maxHeadAndControl is at least a header and the payload of a control frame.
const maxHeadAndControl = ws.MaxHeaderSize + ws.MaxControlFramePayloadSize

// readData reads from the current data frame.
func (w *webSocket) readData(b []byte) (int, error) {
	if int64(len(b)) > w.left {
		b = b[:w.left]
	}
	n, err := w.in.Read(b)
	w.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextFrame reads a header, and all of a control frame.
func (w *webSocket) nextFrame() error {
	if w.end != nil {
		return w.end
	}
	h, err := ws.ReadHeaderBuffer(w.in, w.header[:])
	if err != nil {
		return err // io.EOF: without a close, which is as good as one
	}
	if err := ws.CheckHeader(h, w.state); err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	switch {
	case h.OpCode.IsControl():
		return w.control(h)
	case h.OpCode == ws.OpText:
		return errors.New("WebSocket: text frame, MQTT takes binary ones [MQTT-6.0.0-1]")
	case h.Fin:
		w.state = w.state.Clear(ws.StateFragmented)
	default:
		w.state = w.state.Set(ws.StateFragmented)
	}
	w.left = h.Length
	return nil
}

// control handles a control frame, of at most 125 bytes.
func (w *webSocket) control(h ws.Header) error {
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(w.in, payload); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		w.answerPing(payload)
	case ws.OpClose:
		w.end = io.EOF
		w.answerClose(payload)
		code, reason := ws.ParseCloseFrameData(payload)
		if code != ws.StatusNormalClosure && code != ws.StatusGoingAway && !code.Empty() && code != ws.StatusNoStatusRcvd {
			w.end = fmt.Errorf("WebSocket closed by the server: code %d %q", code, reason)
		}
	}
	return nil
}

// answerClose sends the code back, unless a close was sent before. It does not wait
// long, the connection is at its end.
func (w *webSocket) answerClose(payload []byte) {
	if err := w.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
		_ = w.writeFrame(ws.OpClose, payload[:min(2, len(payload))])
	}
}

// answerPing sends a pong without making the reader wait for a write. Of several
// pings that wait, only the latest is answered (RFC 6455, 5.5.3).
func (w *webSocket) answerPing(payload []byte) {
	w.pongMu.Lock()
	defer w.pongMu.Unlock()
	w.pong = payload
	if !w.ponging {
		w.ponging = true
		go w.sendPongs()
	}
}

func (w *webSocket) sendPongs() {
	for {
		w.pongMu.Lock()
		payload := w.pong
		w.pong = nil
		w.ponging = payload != nil
		w.pongMu.Unlock()
		if payload == nil {
			return
		}
		if err := w.writeFrame(ws.OpPong, payload); err != nil {
			_ = w.Close() // the reader will notice
		}
	}
}

// Write sends one binary frame.
func (w *webSocket) Write(b []byte) (int, error) {
	if err := w.writeFrame(ws.OpBinary, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite sends a close, after which nothing may be written.
func (w *webSocket) CloseWrite() error {
	return w.writeFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
}

// writeFrame copies the payload, because it has to be masked.
func (w *webSocket) writeFrame(op ws.OpCode, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	w.closed = op == ws.OpClose
	h := ws.Header{Fin: true, OpCode: op, Masked: true, Length: int64(len(payload))}
	binary.NativeEndian.PutUint32(h.Mask[:], rand.Uint32())
	frame := bytes.NewBuffer(w.frame[:0])
	if err := ws.WriteHeader(frame, h); err != nil {
		return err
	}
	at := frame.Len()
	frame.Write(payload)
	b := frame.Bytes()
	ws.Cipher(b[at:], h.Mask, 0)
	if cap(b) <= keepFrame {
		w.frame = b
	}
	_, err := w.Conn.Write(b)
	return err
}
