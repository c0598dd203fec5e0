package pitfalls_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
)

// Each copy of each accepted message is delivered, queued, expired, or dropped for a reason that is counted.
func TestPitfall030_Accounts(t *testing.T) {
	p1EachQoS(t, 0, func(t *testing.T, v mqttx.Version, q mqttx.QoS) {
		srv := p1Server(t, &mqttx.Server{Limits: mqttx.Limits{QueuedMessages: 300, Inflight: 50}})
		sum := func(when string) mqttx.Stats {
			t.Helper()
			st := srv.Stats()
			total := st.Delivered + st.Queued + st.Expired
			for _, n := range st.Dropped {
				total += n
			}
			if total != st.Published {
				t.Errorf("%s: %d published, %d accounted for: %+v", when, st.Published, total, st)
			}
			return st
		}
		live := p1Subscriber(t, srv, p1New("live", v), q, "live")
		stalled := p1Subscriber(t, srv, p1Kept("stalled", v), q, "stalled")
		stalled.StopReading()
		p1Subscriber(t, srv, p1Kept("asleep", v), q, "asleep").Drop()
		p1Subscriber(t, srv, p1Kept("ends", v), q, "ends").Drop()
		topics := []string{"live", "stalled", "asleep", "ends"}
		got := 0
		for i := range 2000 {
			m := &mqttx.Message{Topic: topics[i%4], Payload: make([]byte, 1000), QoS: q}
			if m.Topic == "asleep" && i%8 == 2 {
				m.Expires = time.Now().Add(10 * time.Second)
			}
			err := srv.Publish(t.Context(), m)
			if code := mqttx.CodeOf(err); err != nil && code != mqttx.QuotaExceeded {
				t.Fatal(err)
			}
			if m.Topic == "live" {
				live.Receive()
				got++
			}
		}
		live.Nothing()
		st := sum("after the burst")
		if st.Delivered < int64(got) || got != 500 {
			t.Errorf("%d delivered, %d came", st.Delivered, got)
		}
		mqttest.Advance(time.Minute)
		sum("after a minute")
		if err := srv.EndSession(t.Context(), "ends"); err != nil {
			t.Fatal(err)
		}
		awake := p1Drain(t, mqttest.Connect(t, srv, p1Kept("asleep", v)))
		st = sum("after all")
		if want := map[bool]string{false: "0 came, 0 expired", true: "150 came, 150 expired"}[q > 0]; want != fmt.Sprintf("%d came, %d expired", len(awake), st.Expired) {
			t.Errorf("%d came, %d expired, want %s", len(awake), st.Expired, want)
		}
	})
}
