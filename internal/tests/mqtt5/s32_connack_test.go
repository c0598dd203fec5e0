package mqtt5_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT5_3_2_0_1_ConnackFirst(t *testing.T) { dialogue(t, "3.2.0-1") }
func TestMQTT5_3_2_0_2_OneConnack(t *testing.T)   { dialogue(t, "3.2.0-2") }

func TestMQTT5_3_2_2_1_ConnackFlags(t *testing.T) {
	virtual(t, "all kinds", func(t *testing.T) {
		s := ruledServer(t)
		for _, c := range []struct {
			name string
			p    packet.Connect
			want byte
		}{
			{"new", packet.Connect{ClientID: "c", SessionExpiryInterval: new(uint32(60))}, 0},
			{"resumed", packet.Connect{ClientID: "c", SessionExpiryInterval: new(uint32(60))}, 1},
			{"refused", packet.Connect{ClientID: "c", Password: []byte("wrong")}, 0},
			{"refused id", packet.Connect{ClientID: "refused"}, 0},
			{"method", packet.Connect{ClientID: "c", AuthenticationMethod: "unknown"}, 0},
			{"Clean Start", packet.Connect{ClientID: "c", CleanStart: true}, 0},
		} {
			p, err := c.p.Append(nil, mqttx.V5)
			if err != nil {
				t.Fatal(err)
			}
			a := mqttest.Dial(t, s)
			a.Write(p)
			synctest.Wait()
			if got := a.Raw(); len(got) < 4 || got[0] != 0x20 || got[2] != c.want {
				t.Errorf("%s: % x, want flags %d", c.name, got, c.want)
			}
			a.Drop()
		}
	})
}

func TestMQTT5_3_2_2_2_CleanStartPresents0(t *testing.T) { dialogue(t, "3.2.2-2") }
func TestMQTT5_3_2_2_3_SessionPresent(t *testing.T)      { dialogue(t, "3.2.2-3") }
func TestMQTT5_3_2_2_6_RefusalPresents0(t *testing.T)    { dialogue(t, "3.2.2-6") }
func TestMQTT5_3_2_2_7_RefusalCloses(t *testing.T)       { dialogue(t, "3.2.2-7") }

// connackCodes are the Connect Reason Codes of the standard.
var connackCodes = []mqttx.ReasonCode{
	0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
}

// TestMQTT5_3_2_2_8_ConnackCodes has handlers refuse with every code there may be, before and after the session is taken;
// those that CONNACK has are told as they are, all others as UnspecifiedError.
func TestMQTT5_3_2_2_8_ConnackCodes(t *testing.T) {
	virtual(t, "handlers", func(t *testing.T) {
		var connect, connected error
		s := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{
			Connect:   func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) { return r.Conn, connect },
			Connected: func(context.Context, *mqttx.Conn) error { return connected },
		})
		for n := range 256 {
			code := mqttx.ReasonCode(n)
			want := code
			if code < 0x80 || !slices.Contains(connackCodes, code) {
				want = mqttx.UnspecifiedError
			}
			for _, at := range []*error{&connect, &connected} {
				connect, connected = nil, nil
				*at = code
				c, got := mqttest.TryConnect(t, s, nil)
				if got != want {
					t.Errorf("%v: CONNACK %v, want %v", code, got, want)
				}
				c.Closed()
			}
		}
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
	dialogue(t, "3.2.2-8")
	dialogueWithout(t, mqttx.FeatureQoS1, "3.2.2-12")
}

func TestMQTT5_3_2_2_9_MaximumQoS(t *testing.T) {
	for _, c := range []struct {
		name string
		off  mqttx.Feature
		want string
	}{{"QoS 0", mqttx.FeatureQoS1, "0"}, {"QoS 0 by both", mqttx.FeatureQoS1 | mqttx.FeatureQoS2, "0"}, {"QoS 1", mqttx.FeatureQoS2, "1"}, {"full", 0, "none"}} {
		virtual(t, c.name, func(t *testing.T) {
			s := ruledServer(t)
			s.Disabled |= c.off
			p := mqttest.Connect(t, s, nil).Connack
			got := "none"
			if p.MaximumQoS != nil {
				got = string('0' + rune(*p.MaximumQoS))
			}
			if got != c.want {
				t.Errorf("Maximum QoS %s, want %s", got, c.want)
			}
		})
	}
}

func TestMQTT5_3_2_2_10_SubscribeAtAnyQoS(t *testing.T) {
	dialogueWithout(t, mqttx.FeatureQoS1, "3.2.2-10")
}

func TestMQTT5_3_2_2_11_PublishOverMaximumQoS(t *testing.T) {
	dialogueWithout(t, mqttx.FeatureQoS2, "3.2.2-11")
	dialogueWithout(t, mqttx.FeatureQoS1, "3.2.2-11-qos0")
}

func TestMQTT5_3_2_2_12_WillOverMaximumQoS(t *testing.T) {
	dialogueWithout(t, mqttx.FeatureQoS1, "3.2.2-12")
}
func TestMQTT5_3_2_2_13_RetainedWill(t *testing.T)            { dialogue(t, "3.2.2-13") }
func TestMQTT5_3_2_2_14_RetainNotAvailable(t *testing.T)      { dialogue(t, "3.2.2-14") }
func TestMQTT5_3_2_2_15_PacketTooLarge(t *testing.T)          { dialogue(t, "3.2.2-15") }
func TestMQTT5_3_2_2_17_AliasOverMaximum(t *testing.T)        { dialogue(t, "3.2.2-17") }
func TestMQTT5_3_2_2_18_NoAliases(t *testing.T)               { dialogue(t, "3.2.2-18") }
func TestMQTT5_3_2_2_19_ReasonStringLeftOut(t *testing.T)     { dialogue(t, "3.2.2-19") }
func TestMQTT5_3_2_2_21_ServerKeepAliveInForce(t *testing.T)  { dialogue(t, "3.2.2-21") }
func TestMQTT5_3_2_2_22_ClientsKeepAliveInForce(t *testing.T) { dialogue(t, "3.2.2-22") }

func TestMQTT5_3_2_2_16_AssignedIDsDiffer(t *testing.T) {
	virtual(t, "many", func(t *testing.T) {
		s := ruledServer(t)
		for _, id := range []string{"a", "auto", "0"} {
			mqttest.Connect(t, s, &packet.Connect{ClientID: id})
		}
		ids := assignedIDs(t, s, 300)
		for c := range s.Conns() {
			delete(ids, c.ClientID())
		}
		if n := s.Stats().Sessions; n != 303 || len(ids) != 0 {
			t.Errorf("%d sessions; not connected: %v", n, ids)
		}
	})
}

func TestMQTT5_3_2_2_20_UserPropertyLeftOut(t *testing.T) {
	dialogue(t, "3.2.2-20")
	virtual(t, "accepted, at every size", func(t *testing.T) {
		s := ruledServer(t)
		connack := func(size uint32) (*packet.Connack, int) {
			c := mqttest.Dial(t, s)
			c.Connect(&packet.Connect{CleanStart: true, ClientID: "c", HasUsername: true, Username: "verbose", MaximumPacketSize: size})
			return c.Connack, len(c.Raw())
		}
		_, full := connack(0)
		least := full
		for size := full; size >= 5; size-- {
			p, n := connack(uint32(size))
			if n > size || size < full && len(p.User) > 0 || size == full && len(p.User) == 0 {
				t.Errorf("limit %d: %d bytes, %s", size, n, mqttest.Format(p))
			}
			if p.Code == mqttx.Success {
				least = size
			}
		}
		if least > 20 {
			t.Errorf("a client that takes %d bytes is not let in", least-1)
		}
	})
}
