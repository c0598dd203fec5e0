package mqtt311_test

import (
	"bytes"
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT311_2_3_1_7_SameID(t *testing.T)       { script(t, "2.3.1-7") }
func TestMQTT311_3_8_3_2_WildcardsOff(t *testing.T) { script(t, "3.8.3-2") }
func TestMQTT311_3_8_4_1_OneSuback(t *testing.T)    { script(t, "3.8.4-1") }
func TestMQTT311_3_8_4_2_SubackID(t *testing.T)     { script(t, "3.8.4-2") }

// TestMQTT311_3_8_4_3_Replaced subscribes again and again in the middle of a stream.
func TestMQTT311_3_8_4_3_Replaced(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		p := join(t, s, v, "p", true)
		p.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte("kept"), QoS: 1, PacketID: 1, Retain: true})
		mqttest.Expect[*packet.Puback](p)
		c := join(t, s, v, "c", true)
		c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t", QoS: 0}}})
		synctest.Wait()
		const n = 100
		for i := range n {
			p.Send(&packet.Publish{Topic: []byte("t"), Payload: []byte(strconv.Itoa(i)), QoS: 1, PacketID: uint16(i + 1)})
			mqttest.Expect[*packet.Puback](p)
			if i == n/2 {
				c.Send(&packet.Subscribe{PacketID: 2, Filters: []packet.Filter{{Filter: "t", QoS: 1}}})
				synctest.Wait()
			}
		}
		kept, subacks, next := 0, 0, 0
		for next < n || kept < 2 {
			switch m := c.Next().(type) {
			case *packet.Suback:
				subacks++
				if int(m.PacketID) != subacks || m.Codes[0] != mqttx.ReasonCode(subacks-1) {
					t.Errorf("SUBACK %+v", m)
				}
			case *packet.Publish:
				if m.Retain {
					kept++
					if kept != subacks || string(m.Payload) != "kept" {
						t.Errorf("%q after %d SUBACK", m.Payload, subacks)
					}
					continue
				}
				if string(m.Payload) != strconv.Itoa(next) {
					t.Fatalf("%s comes, want %d", m.Payload, next)
				}
				if want := next / (n/2 + 1); int(m.QoS) != want {
					t.Errorf("%d at QoS %d, want %d", next, m.QoS, want)
				}
				next++
			}
		}
		c.Nothing()
		if subs := s.Stats().Subscriptions; subs != 1 || subacks != 2 {
			t.Errorf("%d subscriptions, %d SUBACK", subs, subacks)
		}
	})
}

func TestMQTT311_3_8_4_4_SeveralFilters(t *testing.T) { script(t, "3.8.4-4") }
func TestMQTT311_3_8_4_5_OneCodeEach(t *testing.T)    { script(t, "3.8.4-5") }

func TestMQTT311_3_8_4_6_LowerQoS(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		for granted := range mqttx.QoS(3) {
			for published := range mqttx.QoS(3) {
				s := newServer(t)
				c := join(t, s, v, "c", true)
				c.Subscribe("t", granted)
				p := join(t, s, v, "p", true)
				p.Publish("t", "x", published)
				if m := c.Receive(); m.QoS != min(granted, published) {
					t.Errorf("published at %d, granted %d: QoS %d", published, granted, m.QoS)
				}
				// A retained message as well.
				p.Send(&packet.Publish{Topic: []byte("r"), Payload: []byte("x"), QoS: published, PacketID: 1, Retain: true})
				p.Send(&packet.Pubrel{PacketID: 1})
				synctest.Wait()
				c.Subscribe("r", granted)
				if m := c.Receive(); m.QoS != min(granted, published) {
					t.Errorf("retained at %d, granted %d: QoS %d", published, granted, m.QoS)
				}
				c.Nothing()
			}
		}
	})
}

func TestMQTT311_3_9_3_1_CodesInOrder(t *testing.T) { script(t, "3.9.3-1") }

// TestMQTT311_3_9_3_2_SubackCodes: whatever the handler answers, 0x80 is what a refusal looks like. Some codes are those of
// DISCONNECT: they close the connection without a byte.
func TestMQTT311_3_9_3_2_SubackCodes(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		var answer mqttx.ReasonCode
		s := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{
			Connect:   func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) { return r.Conn, nil },
			Subscribe: func(context.Context, *mqttx.Conn, *mqttx.Subscription) error { return answer },
		})
		for code := 0x80; code <= 0xff; code++ {
			answer = mqttx.ReasonCode(code)
			c := join(t, s, v, "c", true)
			c.Send(&packet.Subscribe{PacketID: 1, Filters: []packet.Filter{{Filter: "t", QoS: 2}}})
			synctest.Wait()
			closes := !answer.In(packet.TypeSuback) && answer.In(packet.TypeDisconnect) && answer.ByServer()
			want := []byte{0x20, 2, 0, 0, 0x90, 3, 0, 1, 0x80}
			if closes {
				want = want[:4]
			}
			if got := c.Raw(); !bytes.Equal(got, want) {
				t.Errorf("%v: % x, want % x", answer, got, want)
			}
			if n := s.Stats().Subscriptions; n != 0 {
				t.Errorf("%v: %d subscriptions", answer, n)
			}
			c.Drop()
		}
	})
}

func TestMQTT311_3_10_4_1_IdenticalText(t *testing.T)      { script(t, "3.10.4-1") }
func TestMQTT311_3_10_4_2_NoNewMessages(t *testing.T)      { script(t, "3.10.4-2") }
func TestMQTT311_3_10_4_3_BegunIsFinished(t *testing.T)    { script(t, "3.10.4-3") }
func TestMQTT311_3_10_4_4_Unsuback(t *testing.T)           { script(t, "3.10.4-4") }
func TestMQTT311_3_10_4_5_UnsubackForNothing(t *testing.T) { script(t, "3.10.4-5") }
func TestMQTT311_3_10_4_6_SeveralFilters(t *testing.T)     { script(t, "3.10.4-6") }
