package client_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// TestMQTT5_3_1_2_20_KeepAlive: an idle client pings in time, a busy one does not.
func TestMQTT5_3_1_2_20_KeepAlive(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v, KeepAlive: time.Minute}, nil)
		for range 5 {
			begin := time.Now()
			p.want(&packet.Pingreq{})
			if took := time.Since(begin); took > time.Minute || took < 30*time.Second {
				t.Fatalf("PINGREQ after %v", took)
			}
			p.send(&packet.Pingresp{})
		}
		for range 20 {
			<-time.After(30 * time.Second)
			(<-publish(t, c, message(0, ""))).want(t, client.Ack{}, nil)
			p.wantPublish(message(0, ""))
		}
		begin := time.Now()
		p.want(&packet.Pingreq{})
		if took := time.Since(begin); took > time.Minute || took < 30*time.Second {
			t.Fatalf("PINGREQ %v after a PUBLISH", took)
		}
	})
}

func TestNoKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := start(t, client.Options{}, nil)
		<-time.After(100 * time.Hour)
		p.quiet()
	})
}

// TestMQTT5_3_2_2_21_ServerKeepAlive: the server's Keep Alive counts, 0 too.
func TestMQTT5_3_2_2_21_ServerKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := start(t, client.Options{KeepAlive: time.Hour}, &packet.Connack{ServerKeepAlive: ptr(uint16(4))})
		begin := time.Now()
		p.want(&packet.Pingreq{})
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("PINGREQ after %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		_, p := start(t, client.Options{KeepAlive: time.Second}, &packet.Connack{ServerKeepAlive: ptr(uint16(0))})
		<-time.After(time.Hour)
		p.quiet()
	})
}

func TestKeepAliveServerSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := start(t, client.Options{KeepAlive: time.Minute}, nil)
		begin := time.Now()
		p.want(&packet.Pingreq{})
		p.ended()
		if took := time.Since(begin); took > 2*time.Minute {
			t.Errorf("ended after %v", took)
		}
		wantEnd(t, c, client.ErrKeepAlive)
	})
}

// A server that does not read either is noticed.
func TestKeepAliveServerStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := startUnread(t, client.Options{KeepAlive: time.Minute})
		wantEnd(t, c, client.ErrKeepAlive)
	})
}

// Neither a server with much to say before its PINGRESP is dead, nor one whose
// messages take us long.
func TestKeepAliveLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := client.Options{KeepAlive: time.Minute, OnMessage: func(m *packet.Publish) {
			if string(m.Payload) == "slow" {
				<-time.After(10 * time.Minute)
			}
		}}
		c, p := start(t, o, nil)
		pings := 0
		for range 100 { // a message every 20 s
			<-time.After(20 * time.Second)
			p.send(message(0, "backlog"))
		}
		p.send(message(0, "slow"))
		p.send(message(0, "behind")) // returns when the slow one is done
		synctest.Wait()
		for len(p.got) > 0 {
			p.want(&packet.Pingreq{})
			p.send(&packet.Pingresp{})
			pings++
		}
		if pings < 40 { // in 43 minutes
			t.Errorf("%d PINGREQs", pings)
		}
		if err := c.Err(); err != nil {
			t.Fatal(err)
		}
		p.want(&packet.Pingreq{})
		p.ended() // when it is silent at last, it is dead
		wantEnd(t, c, client.ErrKeepAlive)
	})
}

func TestPing(t *testing.T) {
	run(t, func(t *testing.T, v packet.Version) {
		c, p := start(t, client.Options{Version: v}, nil)
		var done []<-chan error
		for range 3 {
			done = append(done, later(func() error { return c.Ping(t.Context()) }))
			p.want(&packet.Pingreq{})
		}
		for i := range done {
			synctest.Wait()
			if len(done[i]) > 0 {
				t.Fatal("Ping has returned before its PINGRESP")
			}
			p.send(&packet.Pingresp{})
			if err := <-done[i]; err != nil {
				t.Fatal(err)
			}
		}
		last := later(func() error { return c.Ping(t.Context()) })
		p.want(&packet.Pingreq{})
		p.nc.Close()
		if err := <-last; !errors.Is(err, client.ErrServerClosed) {
			t.Errorf("error %v", err)
		}
	})
}
