package pitfalls_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// All that a will carries reaches its receivers, live and as a retained message.
func TestPitfall023_WillProperties(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{})
		sub := p1Subscriber(t, srv, p1New("sub", v), q, "w")
		user := []packet.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}, {Name: "b", Value: "1"}}
		p := p1New("c", mqttx.V5)
		p.Will = &packet.Will{
			Topic: "w", Payload: []byte("gone"), QoS: q, Retain: true, PayloadFormat: mqttx.FormatUTF8,
			MessageExpiryInterval: new(uint32(100)), ContentType: "text/plain", ResponseTopic: "answer/to",
			CorrelationData: []byte{0, 1, 2}, User: user,
		}
		mqttest.Connect(t, srv, p).Drop()
		late := p1Subscriber(t, srv, p1New("late", v), q, "w")
		for i, c := range []*mqttest.Client{sub, late} {
			m := c.Receive()
			if string(m.Topic) != "w" || string(m.Payload) != "gone" || m.QoS != q || m.Retain != (i == 1) {
				t.Errorf("the will came as %s", mqttest.Format(m))
			}
			if v == mqttx.V5 && (m.PayloadFormat != mqttx.FormatUTF8 || !m.HasMessageExpiry || m.MessageExpiryInterval != 100 ||
				string(m.ContentType) != "text/plain" || string(m.ResponseTopic) != "answer/to" ||
				string(m.CorrelationData) != "\x00\x01\x02" || !reflect.DeepEqual(m.User, user)) {
				t.Errorf("the will came as %s", mqttest.Format(m))
			}
			c.Nothing()
		}
	})
}

// p24Will is a CONNECT of MQTT 5.0 whose will is delayed and whose session goes on.
func p24Will(payload string, delay, expiry uint32) *packet.Connect {
	return &packet.Connect{
		ClientID: "c", SessionExpiryInterval: &expiry,
		Will: &packet.Will{Topic: "w", Payload: []byte(payload), QoS: 1, DelayInterval: delay},
	}
}

// A delayed will comes after its delay or with the end of the session, whatever ends that.
func TestPitfall024_DelayedWill(t *testing.T) {
	for _, x := range []struct {
		name          string
		delay, expiry uint32
		end           func(t *testing.T, srv *mqttx.Server) // after 2 s
		at            time.Duration
	}{
		{"delay", 5, 60, nil, 5 * time.Second},
		{"expiry", 60, 5, nil, 5 * time.Second},
		{"Clean Start", 60, 60, func(t *testing.T, srv *mqttx.Server) {
			mqttest.Connect(t, srv, p1New("c", mqttx.V5))
		}, 2 * time.Second},
		{"Clean Session of 3.1.1", 60, 60, func(t *testing.T, srv *mqttx.Server) {
			mqttest.Connect(t, srv, p1New("c", mqttx.V311))
		}, 2 * time.Second},
		{"EndSession", 60, 60, func(t *testing.T, srv *mqttx.Server) {
			if err := srv.EndSession(t.Context(), "c"); err != nil {
				t.Error(err)
			}
		}, 2 * time.Second},
		{"resumed", 60, 60, func(t *testing.T, srv *mqttx.Server) { mqttest.Connect(t, srv, p24Will("new", 60, 60)) }, 0},
	} {
		p1Bubble(t, x.name, func(t *testing.T) {
			srv := p1Server(t, &mqttx.Server{})
			sub := p1Subscriber(t, srv, nil, 1, "w")
			mqttest.Connect(t, srv, p24Will("gone", x.delay, x.expiry)).Drop()
			mqttest.Advance(1900 * time.Millisecond)
			sub.Nothing()
			mqttest.Advance(100 * time.Millisecond)
			if x.end != nil {
				x.end(t, srv)
			}
			if x.at > 2*time.Second {
				mqttest.Advance(x.at - 2100*time.Millisecond)
				sub.Nothing()
				mqttest.Advance(100 * time.Millisecond)
			}
			if x.at > 0 {
				p1Gets(t, sub, "gone")
			}
			mqttest.Advance(time.Hour)
			sub.Nothing()
		})
	}
}

// A delayed will outlives its server, and so does what has become of it.
func TestPitfall024_Restart(t *testing.T) {
	for _, resume := range []bool{false, true} {
		p1Bubble(t, fmt.Sprint("resume ", resume), func(t *testing.T) {
			store := new(mqttest.MemStore)
			first := p1Server(t, &mqttx.Server{Store: store})
			mqttest.Connect(t, first, p24Will("gone", 10, 60)).Drop()
			if resume {
				mqttest.Connect(t, first, p24Will("new", 10, 60)).Disconnect(0)
			}
			mqttest.Advance(2 * time.Second)
			if err := first.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			sub := p1Subscriber(t, p1Server(t, &mqttx.Server{Store: store}), nil, 1, "w")
			mqttest.Advance(7900 * time.Millisecond)
			sub.Nothing()
			mqttest.Advance(100 * time.Millisecond)
			if !resume {
				p1Gets(t, sub, "gone")
			}
			mqttest.Advance(time.Hour)
			sub.Nothing()
		})
	}
}

// Around the moment at which the will is due the client comes back or it does not, and the will agrees with that.
func TestPitfall024_RacingResumes(t *testing.T) {
	p1Bubble(t, "1000", func(t *testing.T) {
		srv := p1Server(t, &mqttx.Server{})
		sub := p1Subscriber(t, srv, nil, 1, "w")
		random := rand.New(rand.NewPCG(24, 24))
		came := 0
		for i := range 1000 {
			payload := fmt.Sprint(i)
			c := mqttest.Connect(t, srv, p24Will(payload, 1, 60))
			c.Drop()
			wait := time.Second + time.Duration(random.IntN(5)-2)*time.Millisecond
			<-time.After(wait) // unlike Advance it does not wait for what is due at this moment
			c = mqttest.Connect(t, srv, p24Will("", 1, 60))
			if !c.Connack.SessionPresent {
				t.Fatal("no session present")
			}
			after := p1Drain(t, sub)
			switch n := len(after); {
			case n > 1 || n == 1 && string(after[0].Payload) != payload:
				t.Fatalf("round %d: %d wills, the first %q", i, n, after[0].Payload)
			case n == 0 && wait > time.Second, n == 1 && wait < time.Second:
				t.Fatalf("round %d: %d wills after %v", i, n, wait)
			default:
				came += n
			}
			mqttest.Advance(3 * time.Second)
			sub.Nothing()
			c.Disconnect(0)
		}
		if came == 0 || came == 1000 {
			t.Errorf("%d of 1000 wills came", came)
		}
	})
}
