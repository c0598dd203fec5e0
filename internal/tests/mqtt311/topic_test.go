package mqtt311_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
)

func TestMQTT311_4_7_1_1_WildcardsInFiltersOnly(t *testing.T) {
	violations(t, cases{"PUBLISH a/#": `30 05 "a/#"`, "PUBLISH +": `30 03 "+"`})
	badConnects(t, both, cases{"will topic a/+": `06 "c" "a/+" "gone"`, "will topic #": `06 "c" "#" "gone"`})
}

// filters subscribes and checks which filters are granted, each in a packet of its own, and which are refused.
func filters(t *testing.T, granted, refused []string) {
	t.Helper()
	each(t, func(t *testing.T, v mqttx.Version) {
		s := newServer(t)
		c := join(t, s, v, "c", true)
		for _, f := range granted {
			if code := c.Subscribe(f, 1); code != 1 {
				t.Errorf("%s: %v", f, code)
			}
		}
		for _, f := range refused {
			if code := c.Subscribe(f, 1); code != 0x80 {
				t.Errorf("%s: %v", f, code)
			}
		}
		if n := s.Stats().Subscriptions; n != int64(len(granted)) {
			t.Errorf("%d subscriptions, want %d", n, len(granted))
		}
	})
}

func TestMQTT311_4_7_1_2_Hash(t *testing.T) {
	filters(t, []string{"#", "a/#", "/#", "a/b/#", "+/#"}, []string{"a#", "a/#/b", "#/a", "##", "a/b#", "#/", "a/##"})
	matches(t, map[string]string{"a/#": "a a/ a/b a/b/c", "#": "a a/ a/b a/b/c b /"}, "a", "a/", "a/b", "a/b/c", "b", "/")
}

func TestMQTT311_4_7_1_3_Plus(t *testing.T) {
	filters(t, []string{"+", "+/a/#", "a/+/b", "/+", "+/+", "a/+"}, []string{"a+", "+a/b", "a/b+", "++", "a/+b/c"})
	matches(t, map[string]string{"+": "a", "a/+": "a/ a/b", "+/+": "a/ a/b /", "+/b/#": "a/b a/b/c", "/+": "/"}, "a", "a/", "a/b", "a/b/c", "/")
}

// matches publishes each topic and checks which of them each filter lets through, in that order.
func matches(t *testing.T, want map[string]string, topics ...string) {
	t.Helper()
	each(t, func(t *testing.T, v mqttx.Version) {
		for filter, through := range want {
			s := newServer(t)
			c := subscriber(t, s, v, filter)
			for _, name := range topics {
				if err := s.Publish(t.Context(), &mqttx.Message{Topic: name}); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			synctest.Wait()
			for range strings.Fields(through) {
				got = append(got, string(c.Receive().Topic))
			}
			c.Nothing()
			if strings.Join(got, " ") != through {
				t.Errorf("%s lets %q through, want %q", filter, got, through)
			}
		}
	})
}

func TestMQTT311_4_7_2_1_Dollar(t *testing.T) {
	matches(t, map[string]string{
		"#": "x/x", "+/x": "x/x", "+/#": "x/x", "$SYS/#": "$SYS/x", "$SYS/+": "$SYS/x", "$other/x": "$other/x", "$other/#": "$other/x",
	}, "$SYS/x", "$other/x", "x/x")
}

func TestMQTT311_4_7_3_1_Empty(t *testing.T) {
	violations(t, cases{"PUBLISH": `30 02 0000`, "PUBLISH with payload": `30 03 0000 78`, "PUBLISH QoS 1": `32 04 0000 0001`})
	filters(t, []string{"/", " "}, []string{""})
	badConnects(t, both, cases{"will topic": `06 "c" "" "gone"`})
	matches(t, map[string]string{"/": "/", "+/": "/"}, "/", " ")
}

func TestMQTT311_4_7_3_2_Null(t *testing.T) {
	violations(t, cases{
		"PUBLISH": `30 03 0001 00`, "PUBLISH at the end": `30 04 0002 6100`,
		"SUBSCRIBE": `82 06 0001 0001 00 00`, "SUBSCRIBE within": `82 08 0001 0003 610062 00`,
	})
}

func TestMQTT311_4_7_3_3_Longest(t *testing.T) {
	each(t, func(t *testing.T, v mqttx.Version) {
		long := strings.Repeat("\u00e9", 65534/2) + "x"
		s := newServer(t)
		c := subscriber(t, s, v, long)
		p := join(t, s, v, "p", true)
		p.Publish(long, "x", 1)
		gets(t, c, long+"=x")
		p.Publish(long[:65534]+"y", "x", 1)
		c.Nothing()
	})
}

func TestMQTT311_4_7_3_4_AsTheyAre(t *testing.T) {
	names := []string{"caf\u00e9", "cafe\u0301", "A", "a", "a ", " a", "a/", "/a", "a/b", "a//b", "\u212b", "\u00c5"}
	each(t, func(t *testing.T, v mqttx.Version) {
		for _, filter := range names {
			s := newServer(t)
			c := subscriber(t, s, v, filter)
			p := join(t, s, v, "p", true)
			for _, name := range names {
				p.Publish(name, "x", 1)
			}
			gets(t, c, filter+"=x")
		}
	})
}
