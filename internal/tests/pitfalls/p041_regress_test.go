package pitfalls_test

import (
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p41Publish is a PUBLISH of these first bits and topic, as bytes.
func p41Publish(v mqttx.Version, flags byte, topic string) []byte {
	body := append([]byte{0, byte(len(topic))}, topic...)
	if flags&6 != 0 {
		body = append(body, 0, 1)
	}
	if v == mqttx.V5 {
		body = append(body, 0)
	}
	return append([]byte{0x30 | flags, byte(len(body))}, body...)
}

// p41Subscribe is a SUBSCRIBE or, with first 0xA2, an UNSUBSCRIBE.
func p41Subscribe(v mqttx.Version, first byte, filter string, options ...byte) []byte {
	body := []byte{0, 1}
	if v == mqttx.V5 {
		body = append(body, 0)
	}
	body = append(append(body, 0, byte(len(filter))), filter...)
	body = append(body, options...)
	return append([]byte{first, byte(len(body))}, body...)
}

// What the standard forbids in a packet ends its connection, and leaves nothing.
func TestPitfall041_Malformed(t *testing.T) {
	for name, x := range map[string]struct {
		bytes func(v mqttx.Version) []byte
		code  mqttx.ReasonCode
	}{
		"U+0000 in a topic":        {func(v mqttx.Version) []byte { return p41Publish(v, 1, "a\x00") }, mqttx.MalformedPacket},
		"bad UTF-8 in a topic":     {func(v mqttx.Version) []byte { return p41Publish(v, 1, "a\xff") }, mqttx.MalformedPacket},
		"QoS 3":                    {func(v mqttx.Version) []byte { return p41Publish(v, 7, "a") }, mqttx.MalformedPacket},
		"# in a topic":             {func(v mqttx.Version) []byte { return p41Publish(v, 1, "a/#") }, mqttx.TopicNameInvalid},
		"+ in a topic":             {func(v mqttx.Version) []byte { return p41Publish(v, 1, "a/+/b") }, mqttx.TopicNameInvalid},
		"SUBSCRIBE flags 0":        {func(v mqttx.Version) []byte { return p41Subscribe(v, 0x80, "a", 1) }, mqttx.MalformedPacket},
		"UNSUBSCRIBE flags 0":      {func(v mqttx.Version) []byte { return p41Subscribe(v, 0xA0, "a") }, mqttx.MalformedPacket},
		"SUBSCRIBE QoS 3":          {func(v mqttx.Version) []byte { return p41Subscribe(v, 0x82, "a", 3) }, mqttx.ProtocolError},
		"U+0000 in a filter":       {func(v mqttx.Version) []byte { return p41Subscribe(v, 0x82, "a\x00", 1) }, mqttx.MalformedPacket},
		"bad UTF-8 in UNSUBSCRIBE": {func(v mqttx.Version) []byte { return p41Subscribe(v, 0xA2, "\xc0\x80") }, mqttx.MalformedPacket},
	} {
		t.Run(name, func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) {
				srv := p1Server(t, &mqttx.Server{})
				sub := p1Subscriber(t, srv, p1New("sub", v), 2, "#")
				c := mqttest.Connect(t, srv, p1New("c", v))
				c.Write(x.bytes(v))
				if v == mqttx.V5 {
					p := mqttest.Expect[*packet.Disconnect](c)
					if p.Code != x.code && !(x.code == mqttx.TopicNameInvalid && (p.Code == mqttx.MalformedPacket || p.Code == mqttx.ProtocolError)) {
						t.Errorf("DISCONNECT %v, want %v", p.Code, x.code)
					}
				}
				c.Closed()
				sub.Nothing()
				if st := srv.Stats(); st.Retained != 0 || st.Subscriptions != 1 || st.Published != 0 || st.Sessions != 1 {
					t.Errorf("left behind: %+v", st)
				}
			})
		})
	}
}

// Filters that are none are refused one by one, or with their connection; nothing is stored.
func TestPitfall041_Filters(t *testing.T) {
	p1Each(t, func(t *testing.T, v mqttx.Version) {
		srv := p1Server(t, &mqttx.Server{})
		for _, f := range []string{"a/#/b", "", "#/", "a/b#"} {
			c := mqttest.Connect(t, srv, p1New("c", v))
			c.Write(p41Subscribe(v, 0x82, f, 1))
			switch p := c.Next().(type) {
			case *packet.Suback:
				if len(p.Codes) != 1 || p.Codes[0] < 0x80 {
					t.Errorf("%q: %v", f, p.Codes)
				}
			case *packet.Disconnect:
				c.Closed()
			default:
				t.Errorf("%q: %s", f, mqttest.Format(p))
			}
			if n := srv.Stats().Subscriptions; n != 0 {
				t.Errorf("%q: %d subscriptions", f, n)
			}
			c.Drop()
		}
	})
}

// A message over the client's Maximum Packet Size is dropped for it alone, and does not hold up the next.
func TestPitfall041_MaximumPacketSize(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		p := p1Kept("small", mqttx.V5)
		p.MaximumPacketSize = 100
		small := p1Subscriber(t, srv, p, q, "a")
		other := p1Subscriber(t, srv, p1New("other", v), q, "a")
		pub := mqttest.Connect(t, srv, p1New("pub", v))
		long := string(make([]byte, 200))
		for _, payload := range []string{long, "short", long} {
			p1Code(t, "PUBLISH", pub.Publish("a", payload, q), mqttx.Success)
		}
		p1Gets(t, other, long, "short", long)
		p1Gets(t, small, "short")
		if st := srv.Stats(); st.Dropped[mqttx.DropTooLarge] != 2 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A resume within the Will Delay cancels the will.
func TestPitfall041_WillCancelled(t *testing.T) {
	p1Bubble(t, "5.0", func(t *testing.T) {
		srv := p1Server(t, &mqttx.Server{})
		sub := p1Subscriber(t, srv, nil, 1, "w")
		mqttest.Connect(t, srv, p24Will("gone", 5, 60)).Drop()
		mqttest.Advance(4 * time.Second)
		mqttest.Connect(t, srv, p24Will("new", 5, 60)).Nothing()
		mqttest.Advance(time.Hour)
		sub.Nothing()
	})
}
