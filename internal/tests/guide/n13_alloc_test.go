//go:build !race

package guide_test

import (
	"io"
	"net"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// n13Raw opens a connection, with clients' packets and answers of known lengths and without the allocations of a test client.
func n13Raw(t *testing.T, s *mqttx.Server, id string, more ...packet.Packet) net.Conn {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close() })
	go s.ServeConn(t.Context(), far)
	for _, p := range append([]packet.Packet{g1Connect(id, mqttx.V311)}, more...) {
		b, err := p.Append(nil, mqttx.V311)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := near.Write(b); err != nil {
			t.Fatal(err)
		}
		in := make([]byte, 64)
		if k, err := near.Read(in); err != nil || in[0] == 0x20 && in[3] != 0 {
			t.Fatalf("% x, %v", in[:k], err)
		}
	}
	return near
}

// Without a Trace a message costs no allocation on its way to a subscriber. A race build, where sync.Pool forgets at random,
// cannot tell.
func TestGuide_N13_NoTraceNoAllocation(t *testing.T) {
	s := g1Started(t, &mqttx.Server{})
	sub := n13Raw(t, s, "sub", &packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t"}}})
	go io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{sub}, make([]byte, 64<<10))
	pub := n13Raw(t, s, "pub")
	var batch []byte
	for range 1000 {
		batch = append(batch, 0x30, 4, 0, 1, 't', 'x')
	}
	batch = append(batch, 0xC0, 0)
	in := make([]byte, 64)
	n := testing.AllocsPerRun(20, func() {
		if _, err := pub.Write(batch); err != nil {
			t.Error(err)
		}
		if k, err := pub.Read(in); err != nil || k != 2 || in[0] != 0xD0 {
			t.Errorf("% x, %v", in[:k], err)
		}
	})
	if n > 100 {
		t.Errorf("%v allocations for 1000 messages", n)
	}
	if st := s.Stats(); st.Published != 21_000 || st.Delivered != 21_000 {
		t.Errorf("%+v", st)
	}
}
