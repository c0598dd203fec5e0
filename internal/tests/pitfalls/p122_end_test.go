package pitfalls_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
)

// A connection that comes with a read deadline of somebody else's ends when that has passed, instead of turning in circles.
func TestPitfall122_ForeignDeadline(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		s := p63Start(t, &mqttx.Server{})
		near, far := mqttest.Pipe()
		defer near.Close()
		far.SetReadDeadline(time.Now().Add(time.Second))
		begun := time.Now()
		err := s.ServeConn(t.Context(), far)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("ended by %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Close does not wait for a TLS client that takes nothing any more.
func TestPitfall122_CloseWithDeafTLS(t *testing.T) {
	s := p63Start(t, &mqttx.Server{})
	n := testnet.TLS.Start(t, s)
	const clients = 4
	for range clients {
		c := n.Connect(nil)
		c.Subscribe("t", 0)
		c.StopReading()
	}
	payload := make([]byte, 60<<10)
	for s.Stats().Dropped[mqttx.DropOutboxFull] < clients {
		if err := s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() { done <- s.Close() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second): // one goodbye of crypto/tls waits 5 s
		t.Error("Close is still waiting")
		<-done
	}
}

// Shutdown gives a TLS client that takes nothing any more the time of the last words, and no more.
func TestPitfall122_DeafTLSIsShutDown(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		conf := &tls.Config{Certificates: []tls.Certificate{testnet.NewAuthority(t).Issue("server")}}
		s := p63Start(t, &mqttx.Server{})
		near, far := mqttest.Pipe()
		served := make(chan error, 1)
		go func() { served <- s.ServeConn(context.Background(), tls.Server(far, conf)) }()
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
		c := mqttest.NewClient(t, client, 0)
		p1Code(t, "CONNACK", c.Connect(p1New("deaf", mqttx.V5)), mqttx.Success)
		c.Subscribe("t", 0)
		c.StopReading()
		for s.Stats().Dropped[mqttx.DropOutboxFull] == 0 {
			s.Publish(t.Context(), &mqttx.Message{Topic: "t", Payload: make([]byte, 60<<10)})
		}
		begun := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("Shutdown took %v, the last words have 2 s", took)
		}
		<-served
	})
}

// A second Shutdown does not return before the first is through: whoever closes the Store after it may do so.
func TestPitfall122_SecondShutdownWaits(t *testing.T) {
	p63Bubble(t, "", func(t *testing.T) {
		store := &mqttest.MemStore{}
		s := p63Start(t, &mqttx.Server{Store: store})
		c := mqttest.Connect(t, s, p63Keeps("c", mqttx.V5))
		c.Drop()
		synctest.Wait()
		store.Block()
		s.Publish(t.Context(), &mqttx.Message{Topic: "t", Retain: true, Payload: []byte("1")})
		var ended [2]chan error
		for i := range ended {
			ended[i] = make(chan error, 1)
			go func() { ended[i] <- s.Shutdown(context.Background()) }()
			synctest.Wait()
		}
		for i := range ended {
			select {
			case <-ended[i]:
				t.Errorf("Shutdown %d has returned while the Store is at work", i+1)
			default:
			}
		}
		store.Unblock()
		for i := range ended {
			if err := <-ended[i]; err != nil {
				t.Error(err)
			}
		}
	})
}
