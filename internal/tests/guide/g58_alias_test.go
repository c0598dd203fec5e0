package guide_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g58Publish is a QoS 0 PUBLISH of one byte with an alias.
func g58Publish(topic string, alias uint16, payload string) *packet.Publish {
	return &packet.Publish{Topic: []byte(topic), TopicAlias: alias, Payload: []byte(payload)}
}

// g58Zero is a PUBLISH with Topic Alias 0.
func g58Zero() []byte { return []byte{0x30, 8, 0, 1, 'a', 3, 0x23, 0, 0, 'x'} }

// CONNACK tells the maximum; aliases up to it are taken, others are not.
func TestGuide_G58_Maximum(t *testing.T) {
	for _, x := range []struct {
		name     string
		limit    int
		disabled mqttx.Feature
		told     uint16
	}{
		{"default", 0, 0, 100},
		{"5", 5, 0, 5},
		{"negative", -1, 0, 65535},
		{"disabled", 0, mqttx.FeatureTopicAlias, 0},
		{"disabled with a limit", 5, mqttx.FeatureTopicAlias, 0},
	} {
		server := func(t *testing.T) *mqttx.Server {
			return g38Server(t, &mqttx.Server{Limits: mqttx.Limits{TopicAliasMaximum: x.limit}, Disabled: x.disabled})
		}
		g38Bubble(t, x.name+", within", func(t *testing.T) {
			srv := server(t)
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			if got := c.Connack.TopicAliasMaximum; got == nil || *got != x.told {
				t.Fatalf("Topic Alias Maximum %v, want %d", got, x.told)
			}
			aliases := []uint16{x.told, 1, x.told / 2}
			if x.told <= 100 {
				aliases = nil
				for a := range x.told {
					aliases = append(aliases, a+1)
				}
			}
			for _, a := range aliases {
				topic := fmt.Sprint("t/", a)
				c.Send(g58Publish(topic, a, "first"))
				c.Send(g58Publish("", a, "second"))
				for _, want := range []string{"first", "second"} {
					if p := sub.Receive(); string(p.Topic) != topic || string(p.Payload) != want {
						t.Errorf("alias %d: %q on %q", a, p.Payload, p.Topic)
					}
				}
			}
			c.Nothing()
			sub.Nothing()
		})
		if x.told < 65535 {
			g38Bubble(t, x.name+", above", func(t *testing.T) {
				srv := server(t)
				sub := g38Subscriber(t, srv, "#")
				c := mqttest.Connect(t, srv, nil)
				c.Send(g58Publish("a", x.told+1, "x"))
				g38Bye(t, c, mqttx.TopicAliasInvalid)
				sub.Nothing()
			})
		}
		g38Bubble(t, x.name+", zero", func(t *testing.T) {
			srv := server(t)
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			c.Write(g58Zero())
			g38Bye(t, c, mqttx.TopicAliasInvalid)
			sub.Nothing()
		})
	}
}

// What CONNACK has told holds for the connection, whatever becomes of the limit.
func TestGuide_G58_SetLimits(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "#")
		c := mqttest.Connect(t, srv, nil)
		if err := srv.SetLimits(mqttx.Limits{TopicAliasMaximum: 5}); err != nil {
			t.Fatal(err)
		}
		c.Send(g58Publish("a", 100, "x"))
		g38Gets(t, sub, "x")
		d := mqttest.Connect(t, srv, nil)
		if got := d.Connack.TopicAliasMaximum; got == nil || *got != 5 {
			t.Errorf("Topic Alias Maximum %v, want 5", got)
		}
		d.Send(g58Publish("a", 6, "x"))
		g38Bye(t, d, mqttx.TopicAliasInvalid)
	})
}

// g59Topics takes messages and compares their topics.
func g59Topics(t *testing.T, sub *mqttest.Client, topics ...string) {
	t.Helper()
	for _, want := range topics {
		if p := sub.Receive(); string(p.Topic) != want {
			t.Errorf("%q on %q, want on %q", p.Payload, p.Topic, want)
		}
	}
	sub.Nothing()
}

// A topic with an alias sets it, and replaces it.
func TestGuide_G59_SetAndReplace(t *testing.T) {
	for qos := range mqttx.QoS(3) {
		g38Bubble(t, fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			for i, topic := range []string{"a", "b", ""} {
				p := g58Publish(topic, 1, "x")
				if p.QoS = qos; qos > 0 {
					p.PacketID = uint16(i + 1)
				}
				if qos == 0 {
					c.Send(p)
				} else if code := g38Send(t, c, p); code != mqttx.Success {
					t.Errorf("%v", code)
				}
			}
			g59Topics(t, sub, "a", "b", "b")
		})
	}
}

// The alias stands although its message is refused by a callback or by Allow, or dropped by the rate.
func TestGuide_G59_Refused(t *testing.T) {
	refuse := mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
		if string(m.Payload) == "no" {
			return mqttx.NotAuthorized
		}
		return nil
	}}
	for qos := range mqttx.QoS(3) {
		g38Bubble(t, fmt.Sprintf("callback, QoS %d", qos), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Handler: refuse})
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			p := g58Publish("a", 1, "no")
			if p.QoS = qos; qos > 0 {
				p.PacketID = 1
				if code := g38Send(t, c, p); code != mqttx.NotAuthorized {
					t.Errorf("%v", code)
				}
			} else {
				c.Send(p)
			}
			c.Send(g58Publish("", 1, "yes"))
			g59Topics(t, sub, "a")
		})
		g38Bubble(t, fmt.Sprintf("rate, QoS %d", qos), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{Limits: mqttx.Limits{MessageRate: 1}})
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			c.Send(g58Publish("b", 1, "first"))
			p := g58Publish("a", 1, "over the rate")
			if p.QoS = qos; qos > 0 {
				p.PacketID = 1
				if code := g38Send(t, c, p); code != mqttx.QuotaExceeded {
					t.Errorf("%v", code)
				}
			} else {
				c.Send(p)
			}
			g59Topics(t, sub, "b")
			mqttest.Advance(time.Second)
			c.Send(g58Publish("", 1, "later"))
			g59Topics(t, sub, "a")
		})
	}
	g38Bubble(t, "Allow", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{Allow: func(_ context.Context, a mqttx.Access) error {
			if a.Op == mqttx.OpPublish && a.QoS == 1 {
				return mqttx.NotAuthorized
			}
			return nil
		}}})
		sub := g38Subscriber(t, srv, "#")
		c := mqttest.Connect(t, srv, nil)
		p := g58Publish("a", 1, "no")
		p.QoS, p.PacketID = 1, 1
		if code := g38Send(t, c, p); code != mqttx.NotAuthorized {
			t.Errorf("PUBACK %v", code)
		}
		c.Send(g58Publish("", 1, "yes"))
		g59Topics(t, sub, "a")
	})
}

// A rewritten topic is the message's; the alias stands for what was sent.
func TestGuide_G59_Rewritten(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
			m.Topic = "tenant/" + m.Topic
			return nil
		}}})
		sub := g38Subscriber(t, srv, "#")
		c := mqttest.Connect(t, srv, nil)
		c.Send(g58Publish("a", 1, "x"))
		c.Send(g58Publish("", 1, "x"))
		g59Topics(t, sub, "tenant/a", "tenant/a")
	})
}

// Aliases belong to a connection.
func TestGuide_G59_OfOneConnection(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		sub := g38Subscriber(t, srv, "#")
		a, b := mqttest.Connect(t, srv, nil), mqttest.Connect(t, srv, nil)
		a.Send(g58Publish("of/a", 1, "x"))
		a.Nothing()
		b.Send(g58Publish("of/b", 1, "x"))
		b.Nothing()
		a.Send(g58Publish("", 1, "x"))
		a.Nothing()
		g59Topics(t, sub, "of/a", "of/b", "of/a")
		stranger := mqttest.Connect(t, srv, nil)
		stranger.Send(g58Publish("", 1, "x"))
		g38Bye(t, stranger, mqttx.ProtocolError)
		sub.Nothing()
	})
}

// The alias alone is the topic it stands for; an unknown one, or none, ends the connection.
func TestGuide_G60_AliasAlone(t *testing.T) {
	for _, x := range []struct {
		name string
		send []byte
	}{
		{"unknown alias", []byte{0x30, 7, 0, 0, 3, 0x23, 0, 8, 'x'}},
		{"unknown alias, QoS 1", []byte{0x32, 9, 0, 0, 0, 1, 3, 0x23, 0, 8, 'x'}},
		{"unknown alias, QoS 2", []byte{0x34, 9, 0, 0, 0, 1, 3, 0x23, 0, 8, 'x'}},
		{"no alias", []byte{0x30, 4, 0, 0, 0, 'x'}},
	} {
		g38Bubble(t, x.name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, nil)
			c.Send(g58Publish("a", 7, "x"))
			for range 3 {
				c.Send(g58Publish("", 7, "x"))
			}
			g59Topics(t, sub, "a", "a", "a", "a")
			c.Write(x.send)
			g38Bye(t, c, mqttx.ProtocolError)
			sub.Nothing()
		})
	}
}

// Aliases end with the connection although the session goes on, by resume and by takeover.
func TestGuide_G60_Resume(t *testing.T) {
	for name, drop := range map[string]bool{"resume": true, "takeover": false} {
		g38Bubble(t, name, func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			sub := g38Subscriber(t, srv, "#")
			c := mqttest.Connect(t, srv, g47Connect(30))
			c.Send(g58Publish("a", 7, "x"))
			g59Topics(t, sub, "a")
			if drop {
				c.Drop()
			}
			c = mqttest.Connect(t, srv, g47Connect(30))
			if !c.Connack.SessionPresent {
				t.Error("no session present")
			}
			c.Send(g58Publish("", 7, "x"))
			g38Bye(t, c, mqttx.ProtocolError)
			sub.Nothing()
		})
	}
}

// Callbacks see the topic and no alias, and subscribers get none without their own maximum.
func TestGuide_G61_Invisible(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		var saw []string
		srv := g38Server(t, &mqttx.Server{Handler: mqttx.Callbacks[int]{Publish: func(_ context.Context, _ int, m *mqttx.Message) error {
			saw = append(saw, m.Topic)
			if m.Props != nil {
				t.Errorf("properties %+v", m.Props)
			}
			return nil
		}}})
		subs := make(map[mqttx.Version]*mqttest.Client)
		for _, v := range g57Versions() {
			subs[v] = mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "sub" + v.String(), CleanStart: true})
			subs[v].Subscribe("#", 2)
		}
		c := mqttest.Connect(t, srv, nil)
		for i, topic := range []string{"a", "", "b", ""} {
			p := g58Publish(topic, uint16(1+i/2), "x")
			p.QoS, p.PacketID = 1, uint16(i+1)
			if code := g38Send(t, c, p); code != mqttx.Success {
				t.Errorf("PUBACK %v", code)
			}
		}
		for v, sub := range subs {
			for _, topic := range []string{"a", "a", "b", "b"} {
				if p := sub.Receive(); p.TopicAlias != 0 || string(p.Topic) != topic {
					t.Errorf("%v: topic %q, alias %d", v, p.Topic, p.TopicAlias)
				}
			}
			sub.Nothing()
		}
		if !slices.Equal(saw, []string{"a", "a", "b", "b"}) {
			t.Errorf("Publish saw %q", saw)
		}
	})
}

// Towards a client that allows aliases the server keeps within its maximum, and every topic comes out right.
func TestGuide_G61_TowardsClient(t *testing.T) {
	for _, x := range []struct{ maximum, used uint16 }{{2, 2}, {100, 5}} {
		g38Bubble(t, fmt.Sprintf("maximum %d", x.maximum), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			p := &packet.Connect{ClientID: "c", TopicAliasMaximum: x.maximum, SessionExpiryInterval: new(uint32(60))}
			sub := mqttest.Connect(t, srv, p)
			sub.Subscribe("#", 1)
			for range 2 { // a resume begins with no alias on either side
				known := make(map[uint16]string)
				for round := range 4 {
					for i := range 5 {
						topic := fmt.Sprint("topic/", i)
						m := &mqttx.Message{Topic: topic, Payload: []byte(topic), QoS: mqttx.QoS(round % 2)}
						if err := srv.Publish(t.Context(), m); err != nil {
							t.Fatal(err)
						}
					}
				}
				for range 20 {
					m := sub.Receive()
					switch {
					case m.TopicAlias > x.maximum:
						t.Errorf("alias %d, maximum %d", m.TopicAlias, x.maximum)
					case m.TopicAlias > 0 && len(m.Topic) > 0:
						known[m.TopicAlias] = string(m.Topic)
					case m.TopicAlias > 0:
						m.Topic = []byte(known[m.TopicAlias])
					}
					if string(m.Topic) != string(m.Payload) {
						t.Errorf("alias %d: topic %q, want %q", m.TopicAlias, m.Topic, m.Payload)
					}
				}
				if len(known) > int(x.used) {
					t.Errorf("%d aliases", len(known))
				}
				sub.Nothing()
				sub.Drop()
				sub = mqttest.Connect(t, srv, p)
			}
		})
	}
}
