package mqtt311_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

func TestMQTT311_3_1_0_1_ConnectFirst(t *testing.T)  { script311(t, "3.1.0-1") }
func TestMQTT311_3_1_0_2_SecondConnect(t *testing.T) { script(t, "3.1.0-2") }
func TestMQTT311_3_1_2_1_ProtocolName(t *testing.T)  { script311(t, "3.1.2-1") }

// TestMQTT311_3_1_2_2_ProtocolLevel: levels above 5 get the form of MQTT 5.0.
func TestMQTT311_3_1_2_2_ProtocolLevel(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"0", `"MQTT" 00 02 0000 "a"`, `20 02 00 01`},
		{"2", `"MQTT" 02 02 0000 "a"`, `20 02 00 01`},
		{"2 of a layout that is not known", `"MQTT" 02 ff`, `20 02 00 01`},
		{"3 with the name of 3.1.1", `"MQTT" 03 02 0000 "a"`, `20 02 00 01`},
		{"4 with the name of 3.1", `"MQIsdp" 04 02 0000 "a"`, `20 02 00 01`},
		{"6", `"MQTT" 06 02 0000 "a"`, `20 03 00 84 00`},
	} {
		bubble(t, c.name, func(t *testing.T) {
			s := newServer(t)
			w := subscriber(t, s, mqttx.V311, "#")
			a := mqttest.Dial(t, s)
			a.Write(append(framed(0x10, octets(c.body)), octets(`30 05 "t" 'no'`)...))
			if err := a.Served(); err == nil {
				t.Error("served")
			}
			synctest.Wait()
			if got := a.Raw(); !bytes.Equal(got, octets(c.want)) {
				t.Errorf("% x, want %s", got, c.want)
			}
			w.Nothing()
		})
	}
}

func TestMQTT311_3_1_2_3_ReservedConnectFlag(t *testing.T) {
	badConnects(t, both, cases{"alone": `01 "c"`, "with Clean Session": `03 "c"`, "with all": `e7 "c" "w" "gone" "u" "p"`})
}

func TestMQTT311_3_1_2_9_WillFields(t *testing.T) {
	badConnects(t, both, cases{
		"end after ClientID": `06 "c"`, "end after will topic": `06 "c" "w"`, "end in will topic": `06 "c" 0004 77`,
		"end in will message": `06 "c" "w" 0005 78`,
	})
}

// TestMQTT311_3_1_2_11_NoWill: 3.1 says to disregard the will's other bits, but has no more place for its fields.
func TestMQTT311_3_1_2_11_NoWill(t *testing.T) {
	badConnects(t, only311, cases{"will QoS 1": `0a "c"`, "will retain": `22 "c"`, "both": `2a "c"`})
	badConnects(t, both, cases{"fields left": `02 "c" "w" "gone"`})
	bubble(t, "disregarded in 3.1", func(t *testing.T) {
		s := newServer(t)
		w := subscriber(t, s, mqttx.V31, "#")
		c := mqttest.Dial(t, s)
		c.Write(framed(0x10, connectBody(mqttx.V31, `3a "c"`)))
		mqttest.Expect[*packet.Connack](c)
		c.Drop()
		w.Nothing()
	})
}

func TestMQTT311_3_1_2_13_WillQoSWithoutWill(t *testing.T) {
	badConnects(t, only311, cases{"1": `0a "c"`, "2": `12 "c"`, "3": `1a "c"`})
}

func TestMQTT311_3_1_2_15_WillRetainWithoutWill(t *testing.T) {
	badConnects(t, only311, cases{"retain": `22 "c"`, "without Clean Session": `20 "c"`})
}

func TestMQTT311_3_1_2_18_NoUserName(t *testing.T) {
	badConnects(t, both, cases{"user name left": `02 "c" "u"`, "empty user name left": `02 "c" ""`})
}

func TestMQTT311_3_1_2_19_UserName(t *testing.T) {
	badConnects(t, both, cases{"none": `82 "c"`, "half": `82 "c" 0004 75`, "after a will": `86 "c" "w" "gone"`})
}

func TestMQTT311_3_1_2_20_NoPassword(t *testing.T) {
	badConnects(t, both, cases{"password left": `82 "c" "u" "p"`, "a byte left": `82 "c" "u" 00`})
}

func TestMQTT311_3_1_2_21_Password(t *testing.T) {
	badConnects(t, both, cases{"none": `c2 "c" "u"`, "half": `c2 "c" "u" 0004 70`})
}

func TestMQTT311_3_1_2_22_PasswordAlone(t *testing.T) {
	badConnects(t, both, cases{"with a password": `42 "c" "p"`, "with both fields": `42 "c" "u" "p"`, "with none": `42 "c"`})
}

// TestMQTT311_3_1_3_1_FieldOrder gives every field another value: a field in another's place would show.
func TestMQTT311_3_1_3_1_FieldOrder(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
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
		w := subscriber(t, s, v, "#")
		c := mqttest.Dial(t, s)
		c.Write(framed(0x10, connectBody(v, `ee "id" "topic" "message" "user" "password"`)))
		mqttest.Expect[*packet.Connack](c)
		if got.ClientID != "id" || got.Username != "user" || !got.HasUsername || password != "password" || !got.CleanStart {
			t.Errorf("%+v, password %q", got, password)
		}
		c.Drop()
		if m := w.Receive(); string(m.Topic) != "topic" || string(m.Payload) != "message" || m.QoS != 1 {
			t.Errorf("will %+v", m)
		}
		w.Nothing()
	})
}

func TestMQTT311_3_1_3_3_ClientIDPresent(t *testing.T) {
	badConnects(t, both, cases{"empty payload": `02`, "half a length": `02 00`, "half an id": `02 0002 63`})
}

func TestMQTT311_3_1_3_4_ClientIDText(t *testing.T) {
	badConnects(t, both, cases{"FF FE": `02 0002 fffe`})
}

func TestMQTT311_3_1_3_5_PlainClientIDs(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		ids := []string{"abcdefghijklmnopqrstuvw", "xyzABCDEFGHIJKLMNOPQRST", "UVWXYZ0123456789"}
		for _, id := range ids {
			for _, r := range id {
				ids = append(ids, string(r))
			}
		}
		for _, id := range ids {
			join(t, s, v, id, true)
		}
		synctest.Wait()
		if n := s.Stats().Connections; n != int64(len(ids)) {
			t.Errorf("%d connections for %d ids", n, len(ids))
		}
	})
}

// TestMQTT311_3_1_3_6_EmptyClientID is of 3.1.1 alone: 3.1 has no empty id.
func TestMQTT311_3_1_3_6_EmptyClientID(t *testing.T) {
	script311(t, "3.1.3-6")
	bubble(t, "ids", func(t *testing.T) {
		s := newServer(t)
		for range 2 {
			join(t, s, mqttx.V311, "", true)
		}
		ids := make(map[string]bool)
		for c := range s.Conns() {
			ids[c.ClientID()] = true
		}
		if len(ids) != 2 || ids[""] {
			t.Errorf("ids %v", ids)
		}
	})
}

func TestMQTT311_3_1_3_7_EmptyClientIDNeedsCleanSession(t *testing.T) { script311(t, "3.1.3-7") }
func TestMQTT311_3_1_3_8_EmptyClientIDRefused(t *testing.T)           { script311(t, "3.1.3-8") }
func TestMQTT311_3_1_3_9_ClientIDRefused(t *testing.T)                { script(t, "3.1.3-9") }

func TestMQTT311_3_1_3_10_WillTopicText(t *testing.T) {
	badConnects(t, both, cases{"C3 28": `06 "c" 0002 c328 "gone"`})
}

func TestMQTT311_3_1_3_11_UserNameText(t *testing.T) {
	badConnects(t, both, cases{"C3 28": `82 "c" 0002 c328`})
}

func TestMQTT311_3_1_4_1_Layout(t *testing.T) {
	badConnects(t, both, cases{
		"byte at the end": `02 "c" 00`, "two ids": `02 "c" "d"`, "reserved flag": `03 "c"`, "will QoS 3": `1e "c" "w" "gone"`,
		"empty will topic": `06 "c" "" "gone"`, "will topic with wildcard": `06 "c" "a/#" "gone"`, "password alone": `42 "c" "p"`,
	})
	// A CONNECT that ends anywhere before its end.
	for _, v := range both {
		t.Run("truncated "+v.String(), func(t *testing.T) {
			whole := connectBody(v, `c6 "c" "w" "gone" "u" "p"`)
			for n := range len(whole) {
				synctest.Test(t, func(t *testing.T) { badConnect(t, v, framed(0x10, whole[:n])) })
			}
		})
	}
}

func TestMQTT311_3_1_4_4_Accepted(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		c := mqttest.Dial(t, newServer(t))
		c.Write(framed(0x10, connectBody(v, `02 "c"`)))
		synctest.Wait()
		if got := c.Raw(); !bytes.Equal(got, []byte{0x20, 2, 0, 0}) {
			t.Errorf("% x", got)
		}
	})
}

func TestMQTT311_3_1_4_5_PipelinedBehindRefusal(t *testing.T) { script(t, "3.1.4-5") }
func TestMQTT311_3_2_0_1_ConnackFirst(t *testing.T)           { script(t, "3.2.0-1") }
func TestMQTT311_3_2_2_1_CleanSession(t *testing.T)           { script(t, "3.2.2-1") }

// TestMQTT311_3_2_2_2_SessionPresent: in 3.1 the byte is reserved, and 0.
func TestMQTT311_3_2_2_2_SessionPresent(t *testing.T) { script311(t, "3.2.2-2") }

func TestMQTT311_3_2_2_3_NoSession(t *testing.T)        { script(t, "3.2.2-3") }
func TestMQTT311_3_2_2_4_RefusalPresents0(t *testing.T) { script(t, "3.2.2-4") }
func TestMQTT311_3_2_2_5_RefusalCloses(t *testing.T)    { script(t, "3.2.2-5") }

// TestMQTT311_3_2_2_6_NoFittingCode: whatever the handler says, the client sees a return code that exists, or none.
func TestMQTT311_3_2_2_6_NoFittingCode(t *testing.T) {
	badConnects(t, both, cases{"reserved flag": `03 "c"`, "will QoS 3": `1e "c" "w" "gone"`})
	each(t, func(t *testing.T, v mqttx.Version) {
		var answer mqttx.ReasonCode
		s := mqttest.NewServer(t, mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error { return answer }))
		codes := make(map[byte]int)
		for code := 0x80; code <= 0xff; code++ {
			answer = mqttx.ReasonCode(code)
			c := mqttest.Dial(t, s)
			c.Write(framed(0x10, connectBody(v, `02 "c"`)))
			synctest.Wait()
			got := c.Raw()
			if len(got) > 0 {
				if len(got) != 4 || !bytes.Equal(got[:3], []byte{0x20, 2, 0}) || got[3] == 0 || got[3] > 5 {
					t.Errorf("%v: % x", answer, got)
					continue
				}
				codes[got[3]]++
				mqttest.Expect[*packet.Connack](c)
			}
			c.Closed()
		}
		for code := byte(1); code <= 5; code++ {
			if codes[code] == 0 {
				t.Errorf("nothing leads to return code %d", code)
			}
		}
		if n := s.Stats().Sessions; n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}
