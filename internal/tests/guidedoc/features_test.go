package guidedoc

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	mqttclient "github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
	"github.com/e8743928/mqttx/ws"
)

// TestTransports shows the ways to listen, all on one Server.
func TestTransports(t *testing.T) {
	srv := &mqttx.Server{}
	defer srv.Close()
	authority := testnet.NewAuthority(t)
	conf := &tls.Config{Certificates: []tls.Certificate{authority.Issue("here")}}
	free := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	loop, plain, secure := free(), free(), free()
	var urls []string
	urls = append(urls, "tcp://"+loop.Addr().String(), "tcp://"+plain.Addr().String(), "tls://"+secure.Addr().String())

	go srv.ServeLoop(loop)                      // event loops, as ListenAndServe
	go srv.Serve(plain)                         // a goroutine for each connection
	go srv.Serve(tls.NewListener(secure, conf)) // TLS
	mux := http.NewServeMux()                   // WebSocket beside other pages
	mux.Handle("/mqtt", &ws.Handler{Server: srv})

	web := httptest.NewServer(mux)
	defer web.Close()
	urls = append(urls, "ws"+web.URL[len("http"):]+"/mqtt")
	for _, url := range urls {
		c, err := mqttclient.Dial(t.Context(), url, mqttclient.Options{TLS: &tls.Config{RootCAs: authority.Pool(), ServerName: "127.0.0.1"}})
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		c.Close()
	}
}

// TestCustomTransport shows ServeConn.
func TestCustomTransport(t *testing.T) {
	srv := &mqttx.Server{}
	here, there := net.Pipe()

	go srv.ServeConn(context.Background(), there)

	c := mqttest.NewClient(t, here, mqttx.V5)
	if code := c.Connect(&packet.Connect{}); code != mqttx.Success {
		t.Error(code)
	}
	srv.Close()
}

// TestRouter shows the router of the guide on its own.
func TestRouter(t *testing.T) {
	type clientRef string
	type options struct{ qos byte }
	const c, worker1, worker2 = clientRef("c"), clientRef("worker1"), clientRef("worker2")

	var router topic.Router[clientRef, options]
	router.Subscribe("sensors/+/temp", c, options{qos: 1})
	router.Subscribe("alerts/#", c, options{qos: 0})
	for ref, o := range router.Match("sensors/room1/temp") {
		log.Print(ref, o.qos) // c 1
	}

	n := 0
	for ref, o := range router.Match("sensors/room1/temp") {
		if n++; ref != c || o.qos != 1 {
			t.Errorf("%s %v", ref, o)
		}
	}
	if n != 1 {
		t.Errorf("%d matches", n)
	}

	router.Subscribe("$share/workers/jobs/#", worker1, options{qos: 1})
	router.Subscribe("$share/workers/jobs/#", worker2, options{qos: 1})
	var turns []clientRef
	for range 4 {
		for ref := range router.MatchAndAdvance("jobs/process") {
			turns = append(turns, ref) // worker1 and worker2 in turn
		}
	}

	if !slices.Equal(turns, []clientRef{worker1, worker2, worker1, worker2}) {
		t.Error(turns)
	}
}

// TestRateLimit shows the limits and what happens beyond.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &mqttx.Server{Limits: mqttx.Limits{
			ConnectRate:  100,         // new connections in an interval
			MessageRate:  1000,        // messages of a client in an interval
			RateInterval: time.Second, // the default
		}}

		mqttest.Start(t, srv)
		c := mqttest.Connect(t, srv, nil)
		for range 1000 {
			c.Publish("t", "x", 0)
		}
		if code := c.Publish("t", "x", 1); code != mqttx.QuotaExceeded {
			t.Error(code)
		}
	})
}

// TestRetained shows retained messages from inside.
func TestRetained(t *testing.T) {
	ctx := t.Context()
	srv := &mqttx.Server{}
	defer srv.Close()

	err := srv.Publish(ctx, &mqttx.Message{Topic: "door/front", Payload: []byte("open"), QoS: 1, Retain: true})
	if err != nil {
		log.Fatal(err)
	}
	for m := range srv.Retained("door/#") {
		log.Printf("%s is %s", m.Topic, m.Payload)
	}
	err = srv.Publish(ctx, &mqttx.Message{Topic: "door/front", QoS: 1, Retain: true}) // an empty payload clears it

	if err != nil || srv.Stats().Retained != 0 {
		t.Error(err, srv.Stats())
	}
}

// TestLimits shows the numbers of MQTT 5.0.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &mqttx.Server{Limits: mqttx.Limits{
			PacketSize:        1 << 20, // the default
			TopicAliasMaximum: 100,     // the default
			ReceiveMaximum:    65535,   // the default
			ResendInterval:    5 * time.Second,
			ResendTries:       3,
		}}

		mqttest.Start(t, srv)
		c := mqttest.Connect(t, srv, nil)
		if a := c.Connack; a.MaximumPacketSize != 1<<20 || *a.TopicAliasMaximum != 100 || a.ReceiveMaximum != 65535 {
			t.Errorf("CONNACK %+v", a)
		}
	})
}

// TestCompat shows the letter of the guide.
func TestCompat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &mqttx.Server{Compat: mqttx.GuideCompat}

		mqttest.Start(t, srv)
		if c := mqttest.Connect(t, srv, nil); *c.Connack.SubscriptionIdentifierAvailable {
			t.Error("Subscription Identifiers are available")
		}
	})
}

// TestProperties shows what a message carries.
func TestProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		publish := func(ctx context.Context, c *client, m *mqttx.Message) error {
			if p := m.Props; p != nil && p.ContentType == "text/csv" {
				p.User = append(p.User, mqttx.UserProperty{Name: "checked", Value: "yes"})
			}
			return nil
		}

		srv := mqttest.NewServer(t, mqttx.Callbacks[*client]{Publish: publish})
		c := mqttest.Connect(t, srv, nil)
		c.Subscribe("t", 0)
		c.Send(&packet.Publish{Topic: []byte("t"), ContentType: []byte("text/csv")})
		if m := c.Receive(); len(m.User) != 1 || m.User[0].Name != "checked" || string(m.ContentType) != "text/csv" {
			t.Errorf("got %+v", m)
		}
	})
}

// TestStore shows sessions that outlive the program.
func TestStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &mqttest.MemStore{}

		srv := &mqttx.Server{Store: store}

		mqttest.Start(t, srv)
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "lamp", SessionExpiryInterval: new(uint32(3600))})
		c.Subscribe("t", 1)
		c.Drop()
		srv.Close()
		again := &mqttx.Server{Store: store}
		mqttest.Start(t, again)
		if c := mqttest.Connect(t, again, &packet.Connect{ClientID: "lamp", SessionExpiryInterval: new(uint32(3600))}); !c.Connack.SessionPresent {
			t.Error("no session")
		}
	})
}
