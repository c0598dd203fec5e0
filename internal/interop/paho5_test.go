package interop

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

// pahoManager connects a client of paho.golang with autopaho.
func pahoManager(ctx context.Context, t *testing.T, b *broker, addr, id string, expiry uint32, got chan *paho.Publish) *autopaho.ConnectionManager {
	t.Helper()
	u, err := url.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	cm, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: []*url.URL{u}, TlsCfg: b.pool(), KeepAlive: 20, SessionExpiryInterval: expiry,
		ConnectUsername: "ann", ConnectPassword: []byte("x"),
		ClientConfig: paho.ClientConfig{
			ClientID: id,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				got <- p.Packet
				return true, nil
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cm.AwaitConnection(ctx); err != nil {
		t.Fatal(err)
	}
	return cm
}

// TestAutopaho runs paho.golang with autopaho (5.0) through every QoS, properties, and a reconnect after a kick with
// messages queued meanwhile.
func TestAutopaho(t *testing.T) {
	b := start(t)
	for name, addr := range map[string]string{"tcp": "mqtt://" + b.tcp, "tls": "tls://" + b.tls, "ws": "ws://" + b.web + "/mqtt", "wss": "wss://" + b.webTLS + "/mqtt"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
			defer cancel()
			got := make(chan *paho.Publish, 100)
			pub := pahoManager(ctx, t, b, addr, name+"-pub5", 0, make(chan *paho.Publish, 1))
			sub := pahoManager(ctx, t, b, addr, name+"-sub5", 600, got)
			if _, err := sub.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: name + "/#", QoS: 2}}}); err != nil {
				t.Fatal(err)
			}
			send := func(i int, qos byte) {
				t.Helper()
				expiry := uint32(900)
				_, err := pub.Publish(ctx, &paho.Publish{
					Topic: name + "/x", QoS: qos, Payload: []byte(fmt.Sprint(i)),
					Properties: &paho.PublishProperties{
						ContentType: "text/x", ResponseTopic: "r", CorrelationData: []byte{0, 1}, MessageExpiry: &expiry,
						User: paho.UserProperties{{Key: "a", Value: "1"}, {Key: "a", Value: "2"}},
					},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			next := func() *paho.Publish {
				t.Helper()
				select {
				case p := <-got:
					return p
				case <-ctx.Done():
					t.Fatal("no message")
					return nil
				}
			}
			for qos := range byte(3) {
				send(int(qos), qos)
				p := next()
				if p.QoS != qos || string(p.Payload) != fmt.Sprint(qos) {
					t.Errorf("sent at %d: %v", qos, p)
				}
				x := p.Properties
				if x.ContentType != "text/x" || x.ResponseTopic != "r" || string(x.CorrelationData) != "\x00\x01" || len(x.User) != 2 || x.User[1].Value != "2" ||
					x.MessageExpiry == nil || *x.MessageExpiry == 0 || *x.MessageExpiry > 900 {
					t.Errorf("properties %+v", x)
				}
			}
			if c, ok := b.srv.Conn(name + "-sub5"); !ok || c.Disconnect(kick) != nil {
				t.Fatal("cannot kick the subscriber")
			}
			for i := 10; i < 16; i++ {
				send(i, byte(1+i%2))
			}
			order := make(map[byte]string)
			for range 6 {
				p := next()
				for len(p.Payload) == 1 { // sent before the kick, and again if the acknowledgement was cut off
					p = next()
				}
				order[p.QoS] += string(p.Payload) + " "
			}
			if order[1] != "10 12 14 " || order[2] != "11 13 15 " {
				t.Errorf("after the kick %v", order)
			}
			sub.Disconnect(ctx)
			pub.Disconnect(ctx)
		})
	}
}
