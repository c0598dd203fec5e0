package mqtt5_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/google/go-cmp/cmp"
)

func TestMQTT5_3_1_0_1_ConnectFirst(t *testing.T)  { dialogue(t, "3.1.0-1") }
func TestMQTT5_3_1_0_2_SecondConnect(t *testing.T) { dialogue(t, "3.1.0-2") }

// TestMQTT5_3_1_2_1_ProtocolName: whoever names another protocol would not understand CONNACK, so none is sent, but to MQTT
// by its old name.
func TestMQTT5_3_1_2_1_ProtocolName(t *testing.T) {
	for _, name := range []string{"MQTX", "mqtt", "MQTT5", "MQT", ""} {
		virtual(t, name, func(t *testing.T) {
			s := ruledServer(t)
			c := mqttest.Dial(t, s)
			c.Write(whole(`10 "` + name + `" 05 02 0000 00 "c"`))
			c.Closed()
			if got := c.Raw(); len(got) > 0 || s.Stats().Sessions != 0 {
				t.Errorf("got % x, %d sessions", got, s.Stats().Sessions)
			}
		})
	}
	virtual(t, "MQIsdp", func(t *testing.T) {
		badConnect(t, mqttx.UnsupportedProtocolVersion, whole(`10 "MQIsdp" 05 02 0000 00 "c"`))
	})
}

func TestMQTT5_3_1_2_2_ProtocolVersion(t *testing.T) {
	for name, level := range (cases{"6": "06", "6 of a layout that is not known": "06 ff ff", "127": "7f", "5 with bit 7": "85", "255": "ff"}) {
		virtual(t, name, func(t *testing.T) {
			badConnect(t, mqttx.UnsupportedProtocolVersion, whole(`10 "MQTT" `+level+` 02 0000 00 "c"`))
		})
	}
}

func TestMQTT5_3_1_2_3_ReservedConnectFlag(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"alone": `01 00 "c"`, "with Clean Start": `03 00 "c"`, "with all": `e7 00 "c" 00 "w" "gone" "u" "p"`})
}

func TestMQTT5_3_1_2_9_WillFields(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{
		"end after ClientID": `06 00 "c"`, "end after the properties": `06 00 "c" 00`, "end after the topic": `06 00 "c" 00 "w"`,
		"end in the topic": `06 00 "c" 00 0004 77`, "end in the payload": `06 00 "c" 00 "w" 0005 78`,
	})
}

func TestMQTT5_3_1_2_11_WillQoSWithoutWill(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"1": `0a 00 "c"`, "2": `12 00 "c"`, "3": `1a 00 "c"`})
}

func TestMQTT5_3_1_2_12_WillQoS(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"3": `1e 00 "c" 00 "w" "gone"`})
	dialogue(t, "3.1.2-12")
}

func TestMQTT5_3_1_2_13_WillRetainWithoutWill(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"with Clean Start": `22 00 "c"`, "without": `20 00 "c"`})
}

func TestMQTT5_3_1_2_16_NoUserName(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"user name left": `02 00 "c" "u"`, "empty one left": `02 00 "c" ""`, "behind a password": `42 00 "c" "p" "u"`})
}

func TestMQTT5_3_1_2_17_UserName(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"none": `82 00 "c"`, "half": `82 00 "c" 0004 75`, "after a will": `86 00 "c" 00 "w" "gone"`})
}

func TestMQTT5_3_1_2_18_NoPassword(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"password left": `82 00 "c" "u" "p"`, "a byte left": `82 00 "c" "u" 00`})
}

func TestMQTT5_3_1_2_19_Password(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"none": `c2 00 "c" "u"`, "half": `c2 00 "c" "u" 0004 70`, "none alone": `42 00 "c"`})
	virtual(t, "alone", func(t *testing.T) {
		var got string
		s := mqttest.NewServer(t, mqttx.Authenticate(func(_ context.Context, r *mqttx.ConnectRequest) error {
			got = string(r.Password)
			if r.HasUsername {
				t.Error("a user name was seen")
			}
			return nil
		}))
		mqttest.Connect(t, s, &packet.Connect{Password: []byte("secret")})
		if got != "secret" {
			t.Errorf("password %q", got)
		}
	})
}

func TestMQTT5_3_1_2_21_ServerKeepAlive(t *testing.T) { dialogue(t, "3.1.2-21") }
func TestMQTT5_3_1_2_22_KeepAlive(t *testing.T)       { dialogue(t, "3.1.2-22") }

// TestMQTT5_3_1_3_1_FieldOrder gives every field another value: a field in another's place would show.
func TestMQTT5_3_1_3_1_FieldOrder(t *testing.T) {
	virtual(t, "all fields", func(t *testing.T) {
		var got mqttx.ConnectRequest
		var password string
		s := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{
			Connect: func(_ context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
				if r.ClientID == "id" {
					got, password = *r, string(r.Password)
				}
				return r.Conn, nil
			},
		})
		w := watcher(t, s)
		c := mqttest.Dial(t, s)
		c.Write(whole(`10 "MQTT" 05 ee 0000 05 1100000009 "id" 0c 03 "type" 02 00000008 "topic" "message" "user" "password"`))
		c.Version = mqttx.V5
		mqttest.Expect[*packet.Connack](c)
		if got.ClientID != "id" || got.Username != "user" || !got.HasUsername || password != "password" || !got.CleanStart || got.SessionExpiry != 9*time.Second {
			t.Errorf("%+v, password %q", got, password)
		}
		c.Drop()
		m := w.Receive()
		want := &packet.Publish{
			Topic: []byte("topic"), Payload: []byte("message"), QoS: 1, PacketID: m.PacketID, ContentType: []byte("type"),
			HasMessageExpiry: true, MessageExpiryInterval: 8,
		}
		if d := cmp.Diff(mqttest.Format(want), mqttest.Format(m)); d != "" {
			t.Error(d)
		}
		w.Nothing()
	})
}

func TestMQTT5_3_1_3_2_ClientIDIsTheKey(t *testing.T) { dialogue(t, "3.1.3-2") }

func TestMQTT5_3_1_3_3_ClientIDPresent(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"empty payload": `02 00`, "half a length": `02 00 00`, "half an id": `02 00 0002 63`})
	virtual(t, "zero length", func(t *testing.T) {
		c := mqttest.Dial(t, ruledServer(t))
		c.Write(whole(`10 "MQTT" 05 02 0000 00 ""`))
		if p := mqttest.Expect[*packet.Connack](c); p.Code != mqttx.Success || p.AssignedClientID == "" {
			t.Error(mqttest.Format(p))
		}
	})
}

func TestMQTT5_3_1_3_4_ClientIDText(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"FF FE": `02 00 0002 fffe`, "C3 28": `02 00 0002 c328`})
}

func TestMQTT5_3_1_3_5_PlainClientIDs(t *testing.T) {
	virtual(t, "whole alphabet", func(t *testing.T) {
		s := ruledServer(t)
		ids := []string{"abcdefghijklmnopqrstuvw", "xyzABCDEFGHIJKLMNOPQRST", "UVWXYZ0123456789"}
		for _, id := range ids {
			for _, r := range id {
				ids = append(ids, string(r))
			}
		}
		for _, id := range ids {
			if c := mqttest.Connect(t, s, &packet.Connect{ClientID: id, CleanStart: true}); c.Connack.AssignedClientID != "" {
				t.Errorf("%q became %q", id, c.Connack.AssignedClientID)
			}
		}
		synctest.Wait()
		if n := s.Stats().Connections; n != int64(len(ids)) {
			t.Errorf("%d connections for %d ids", n, len(ids))
		}
	})
}

// assignedIDs connects n clients without an id.
func assignedIDs(t *testing.T, s *mqttx.Server, n int) map[string]*mqttest.Client {
	t.Helper()
	ids := make(map[string]*mqttest.Client)
	for range n {
		c := mqttest.Dial(t, s)
		if code := c.Connect(&packet.Connect{SessionExpiryInterval: new(uint32(60))}); code != mqttx.Success {
			t.Fatal(code)
		}
		if c.Connack.AssignedClientID == "" || c.Connack.SessionPresent {
			t.Error(mqttest.Format(c.Connack))
		}
		ids[c.Connack.AssignedClientID] = c
	}
	if len(ids) != n {
		t.Errorf("%d ids for %d clients", len(ids), n)
	}
	return ids
}

func TestMQTT5_3_1_3_6_EmptyClientID(t *testing.T) {
	virtual(t, "two", func(t *testing.T) {
		for _, c := range assignedIDs(t, ruledServer(t), 2) {
			c.Nothing() // neither pushed the other out
		}
	})
}

func TestMQTT5_3_1_3_7_AssignedClientID(t *testing.T) {
	virtual(t, "resumed", func(t *testing.T) {
		s := ruledServer(t)
		for id, c := range assignedIDs(t, s, 2) {
			c.Subscribe("t/"+id, 1)
			c.Drop()
			send(t, s, "t/"+id, 1)
			again := mqttest.Dial(t, s)
			again.Connect(&packet.Connect{ClientID: id})
			if p := again.Connack; !p.SessionPresent || p.AssignedClientID != "" {
				t.Error(mqttest.Format(p))
			}
			if m := again.Receive(); string(m.Topic) != "t/"+id {
				t.Error(mqttest.Format(m))
			}
		}
	})
}

func TestMQTT5_3_1_3_8_ClientIDRefused(t *testing.T) { dialogue(t, "3.1.3-8") }

func TestMQTT5_3_1_3_11_WillTopicText(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"C3 28": `06 00 "c" 00 0002 c328 "gone"`})
}

func TestMQTT5_3_1_3_12_UserNameText(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{"C3 28": `82 00 "c" 0002 c328`})
}

func TestMQTT5_3_1_4_1_Layout(t *testing.T) {
	badConnects(t, mqttx.MalformedPacket, cases{
		"byte at the end": `02 00 "c" 00`, "two ids": `02 00 "c" "d"`, "unknown property": `02 02 7f00 "c"`,
		"properties beyond the packet": `02 7f "c"`,
	})
	badConnects(t, mqttx.ProtocolError, cases{
		"property twice": `02 0a 1100000001 1100000001 "c"`, "Receive Maximum 0": `02 03 210000 "c"`,
		"Maximum Packet Size 0": `02 05 2700000000 "c"`, "property of another packet": `02 02 2400 "c"`,
		"Request Problem Information 2": `02 02 1702 "c"`, "Authentication Data alone": `02 04 16 "x" "c"`,
	})
	t.Run("truncated", func(t *testing.T) {
		full := octets(`"MQTT" 05 c6 0000 00 "c" 00 "w" "gone" "u" "p"`)
		for n := 7; n < len(full); n++ { // from the version on
			synctest.Test(t, func(t *testing.T) { badConnect(t, mqttx.MalformedPacket, append([]byte{0x10, byte(n)}, full[:n]...)) })
		}
	})
	t.Run("truncated before the version", func(t *testing.T) {
		for n := range 7 {
			synctest.Test(t, func(t *testing.T) {
				c := mqttest.Dial(t, ruledServer(t))
				c.Write(append([]byte{0x10, byte(n)}, octets(`"MQTT"`)[:min(n, 6)]...))
				c.Closed()
			})
		}
	})
}

func TestMQTT5_3_1_4_2_WrongPassword(t *testing.T)      { dialogue(t, "3.1.4-2") }
func TestMQTT5_3_1_4_3_SessionTakenOver(t *testing.T)   { dialogue(t, "3.1.4-3") }
func TestMQTT5_3_1_4_4_CleanStartAccepted(t *testing.T) { dialogue(t, "3.1.4-4") }

func TestMQTT5_3_1_4_5_Accepted(t *testing.T) {
	virtual(t, "minimal", func(t *testing.T) {
		c := mqttest.Dial(t, ruledServer(t))
		c.Write(whole(`10 "MQTT" 05 02 0000 00 "c"`))
		synctest.Wait()
		if got := c.Raw(); !bytes.HasPrefix(got, []byte{0x20, byte(len(got) - 2), 0, 0}) {
			t.Errorf("% x", got)
		}
	})
}

func TestMQTT5_3_1_4_6_PipelinedBehindRefusal(t *testing.T) { dialogue(t, "3.1.4-6") }
