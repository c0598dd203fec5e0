package pitfalls_test

import (
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// p1Bubble runs f as a subtest in virtual time.
func p1Bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// p1Each runs f in virtual time for each version, all three if none is named.
func p1Each(t *testing.T, f func(t *testing.T, v mqttx.Version), versions ...mqttx.Version) {
	t.Helper()
	if len(versions) == 0 {
		versions = []mqttx.Version{mqttx.V31, mqttx.V311, mqttx.V5}
	}
	for _, v := range versions {
		p1Bubble(t, v.String(), func(t *testing.T) { f(t, v) })
	}
}

// p1EachQoS runs f in virtual time for each version and each QoS from the one given.
func p1EachQoS(t *testing.T, from mqttx.QoS, f func(t *testing.T, v mqttx.Version, q mqttx.QoS)) {
	t.Helper()
	for q := from; q <= 2; q++ {
		t.Run("QoS "+strconv.Itoa(int(q)), func(t *testing.T) {
			p1Each(t, func(t *testing.T, v mqttx.Version) { f(t, v, q) })
		})
	}
}

// p1Server starts s without a log.
func p1Server(t testing.TB, s *mqttx.Server) *mqttx.Server {
	t.Helper()
	s.Logger = slog.New(slog.DiscardHandler)
	mqttest.Start(t, s)
	return s
}

// p1New is a CONNECT with Clean Start.
func p1New(id string, v mqttx.Version) *packet.Connect {
	return &packet.Connect{ClientID: id, Version: v, CleanStart: true}
}

// p1Kept is a CONNECT that goes on with its session, and keeps it for an hour where it can say so.
func p1Kept(id string, v mqttx.Version) *packet.Connect {
	p := &packet.Connect{ClientID: id, Version: v}
	if v == mqttx.V5 {
		p.SessionExpiryInterval = new(uint32(3600))
	}
	return p
}

// p1Subscriber connects with p and subscribes to filters at QoS q.
func p1Subscriber(t testing.TB, s *mqttx.Server, p *packet.Connect, q mqttx.QoS, filters ...string) *mqttest.Client {
	t.Helper()
	c := mqttest.Connect(t, s, p)
	for _, f := range filters {
		if code := c.Subscribe(f, q); code != mqttx.ReasonCode(q) {
			t.Fatalf("SUBSCRIBE %s: %v", f, code)
		}
	}
	return c
}

// p1Publish is a PUBLISH; id counts above QoS 0 only.
func p1Publish(topic, payload string, q mqttx.QoS, id uint16) *packet.Publish {
	p := &packet.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: q}
	if q > 0 {
		p.PacketID = id
	}
	return p
}

// p1Send sends a PUBLISH of QoS 1 or 2 and gives the code of its PUBACK or PUBREC; no PUBREL follows.
func p1Send(t testing.TB, c *mqttest.Client, p *packet.Publish) mqttx.ReasonCode {
	t.Helper()
	c.Send(p)
	id, code := uint16(0), mqttx.Success
	if p.QoS == 1 {
		ack := mqttest.Expect[*packet.Puback](c)
		id, code = ack.PacketID, ack.Code
	} else {
		ack := mqttest.Expect[*packet.Pubrec](c)
		id, code = ack.PacketID, ack.Code
	}
	if id != p.PacketID {
		t.Errorf("acknowledgement of %d, want %d", id, p.PacketID)
	}
	return code
}

// p1Release sends PUBREL and gives the code of PUBCOMP.
func p1Release(t testing.TB, c *mqttest.Client, id uint16) mqttx.ReasonCode {
	t.Helper()
	c.Send(&packet.Pubrel{PacketID: id})
	p := mqttest.Expect[*packet.Pubcomp](c)
	if p.PacketID != id {
		t.Errorf("PUBCOMP of %d, want %d", p.PacketID, id)
	}
	return p.Code
}

// p1Gets takes the next messages, acknowledges them and compares their payloads in order; nothing else may come.
func p1Gets(t testing.TB, c *mqttest.Client, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		if p := c.Receive(); string(p.Payload) != want {
			t.Errorf("%q on %q, want %q", p.Payload, p.Topic, want)
		}
	}
	c.Nothing()
}

// p1Drain takes all messages that are there, acknowledges them, and goes on until no more come. It is for bubbles.
func p1Drain(t testing.TB, c *mqttest.Client) []*packet.Publish {
	t.Helper()
	var all []*packet.Publish
	for more := true; more; {
		more = false
		synctest.Wait()
		c.Send(&packet.Pingreq{})
		for pong := false; !pong; {
			switch p := c.Next().(type) {
			case *packet.Publish:
				all, more = append(all, p), true
				switch p.QoS {
				case 1:
					c.Send(&packet.Puback{PacketID: p.PacketID})
				case 2:
					c.Send(&packet.Pubrec{PacketID: p.PacketID})
				}
			case *packet.Pubrel:
				more = true
				c.Send(&packet.Pubcomp{PacketID: p.PacketID})
			case *packet.Pingresp:
				pong = true
			default:
				t.Fatalf("unexpected %s", mqttest.Format(p))
			}
		}
	}
	return all
}

// p1Topics gives the topics of messages, sorted.
func p1Topics(ps []*packet.Publish) []string {
	topics := []string{}
	for _, p := range ps {
		topics = append(topics, string(p.Topic))
	}
	slices.Sort(topics)
	return topics
}

// p1Bye takes the end that the server has made: DISCONNECT with code in MQTT 5.0, in the others no byte.
func p1Bye(t testing.TB, c *mqttest.Client, code mqttx.ReasonCode) {
	t.Helper()
	if c.Version == mqttx.V5 {
		if p := mqttest.Expect[*packet.Disconnect](c); p.Code != code {
			t.Errorf("DISCONNECT %v, want %v", p.Code, code)
		}
	}
	c.Closed()
}

// p1Code compares one reason code.
func p1Code(t testing.TB, what string, got, want mqttx.ReasonCode) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// p1Subscribe subscribes with all that a SUBSCRIBE can say and gives the codes of SUBACK.
func p1Subscribe(c *mqttest.Client, id uint32, filters ...packet.Filter) []mqttx.ReasonCode {
	c.Send(&packet.Subscribe{PacketID: c.NewID(), SubscriptionID: id, Filters: filters})
	return mqttest.Expect[*packet.Suback](c).Codes
}

// p1Retained counts the retained messages that a filter matches.
func p1Retained(s *mqttx.Server, filter string) (n int) {
	for range s.Retained(filter) {
		n++
	}
	return n
}
