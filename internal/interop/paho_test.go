package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// pool trusts the broker's certificate.
func (b *broker) pool() *tls.Config {
	b.t.Helper()
	pem, err := os.ReadFile(b.ca)
	if err != nil {
		b.t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: p}
}

// urls gives the broker's listeners by transport.
func (b *broker) urls() map[string]string {
	return map[string]string{
		"tcp": "tcp://" + b.tcp, "tls": "ssl://" + b.tls, "ws": "ws://" + b.web + "/mqtt", "wss": "wss://" + b.webTLS + "/mqtt",
	}
}

// done waits for a token.
func done(t *testing.T, what string, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(20 * time.Second) {
		t.Fatalf("%s: no answer", what)
	}
	if token.Error() != nil {
		t.Fatalf("%s: %v", what, token.Error())
	}
}

// pahoConnect connects a client of paho.mqtt.golang.
func pahoConnect(t *testing.T, b *broker, url, id string, clean bool, set func(o *mqtt.ClientOptions)) mqtt.Client {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(id).SetCleanSession(clean).SetTLSConfig(b.pool()).
		SetAutoReconnect(false).SetProtocolVersion(4)
	if set != nil {
		set(o)
	}
	c := mqtt.NewClient(o)
	done(t, "connect", c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// TestPahoGo runs paho.mqtt.golang (3.1.1) through every QoS, retained messages, a will and a session that is resumed.
func TestPahoGo(t *testing.T) {
	b := start(t)
	for name, url := range b.urls() {
		t.Run(name, func(t *testing.T) {
			got := make(chan mqtt.Message, 100)
			take := func(_ mqtt.Client, m mqtt.Message) { got <- m }
			next := func() string {
				t.Helper()
				select {
				case m := <-got:
					return fmt.Sprintf("%s %s qos=%d retained=%t", m.Topic(), m.Payload(), m.Qos(), m.Retained())
				case <-time.After(20 * time.Second):
					t.Fatal("no message")
					return ""
				}
			}
			want := func(line string) {
				t.Helper()
				if g := next(); g != line {
					t.Errorf("got %q, want %q", g, line)
				}
			}
			pub := pahoConnect(t, b, url, name+"-pub", true, nil)
			sub := pahoConnect(t, b, url, name+"-sub", false, nil)
			topic := name + "/x"
			done(t, "subscribe", sub.Subscribe(topic, 2, take))
			for qos := range byte(3) {
				done(t, "publish", pub.Publish(topic, qos, false, fmt.Sprint("at ", qos)))
				want(fmt.Sprintf("%s at %d qos=%d retained=false", topic, qos, qos))
			}

			done(t, "publish", pub.Publish(name+"/kept", 1, true, "kept"))
			done(t, "subscribe", sub.Subscribe(name+"/kept", 1, take))
			want(name + "/kept kept qos=1 retained=true")
			// The client acknowledges a message after it has been taken. Once it has another one and the answer to a request,
			// the PUBACK has gone out, and the message does not come again in the next connection.
			done(t, "publish", pub.Publish(topic, 0, false, "behind it"))
			want(topic + " behind it qos=0 retained=false")
			done(t, "unsubscribe", sub.Unsubscribe(name+"/kept"))

			sub.Disconnect(100)
			b.gone(name + "-sub")
			for i := range 10 {
				done(t, "publish", pub.Publish(topic, byte(1+i%2), false, fmt.Sprint(i)))
			}
			order := make(map[byte][]string)
			pahoConnect(t, b, url, name+"-sub", false, func(o *mqtt.ClientOptions) { o.SetDefaultPublishHandler(take) })
			for range 10 {
				select {
				case m := <-got:
					order[m.Qos()] = append(order[m.Qos()], string(m.Payload()))
				case <-time.After(20 * time.Second):
					t.Fatal("a queued message is missing")
				}
			}
			if fmt.Sprint(order[1], order[2]) != "[0 2 4 6 8] [1 3 5 7 9]" {
				t.Errorf("queued messages came as %v", order)
			}
		})
	}
}
