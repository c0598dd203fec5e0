package mqttx

import (
	"github.com/e8743928/mqttx/internal/poll"
)

// writeTo writes once from the front of the outbox, under its mu, and takes away what was written.
func (o *outbox) writeTo(fd int) (int, error) {
	if len(o.refs) == 0 {
		n, err := poll.Write(fd, o.buf[o.sent:])
		if err != nil {
			return 0, err
		}
		if o.sent += n; o.sent == len(o.buf) {
			o.buf, o.sent = o.buf[:0], 0
		}
		return n, nil
	}
	var parts [16][]byte
	bufs := parts[:0]
	at := o.sent
	for _, r := range o.refs {
		if len(bufs) >= len(parts)-1 {
			break
		}
		if r.at > at {
			bufs = append(bufs, o.buf[at:r.at])
			at = r.at
		}
		bufs = append(bufs, r.data)
	}
	if len(bufs) < len(parts) && len(o.refs) < len(parts)/2 && at < len(o.buf) {
		bufs = append(bufs, o.buf[at:])
	}
	n, err := poll.WriteAll(fd, bufs)
	if err != nil {
		return 0, err
	}
	o.skip(n)
	return n, nil
}

// compact takes what has been sent out of buf once it is the larger part: the buffer of a client that is always a little
// behind would grow for ever.
func (o *outbox) compact() {
	if o.sent <= len(o.buf)/2 {
		return
	}
	o.buf = o.buf[:copy(o.buf, o.buf[o.sent:])]
	for i := range o.refs {
		o.refs[i].at -= o.sent
	}
	o.sent = 0
}

// skip takes n bytes away from the front.
func (o *outbox) skip(n int) {
	for n > 0 {
		if len(o.refs) > 0 && o.refs[0].at == o.sent {
			r := &o.refs[0]
			k := min(n, len(r.data))
			r.data = r.data[k:]
			n -= k
			if len(r.data) > 0 {
				return
			}
			o.refs[0] = ref{}
			o.refs = o.refs[1:]
			continue
		}
		end := len(o.buf)
		if len(o.refs) > 0 {
			end = o.refs[0].at
		}
		k := min(n, end-o.sent)
		o.sent += k
		n -= k
	}
	if o.sent == len(o.buf) && len(o.refs) == 0 {
		o.buf, o.sent, o.refs = o.buf[:0], 0, nil
	}
}
