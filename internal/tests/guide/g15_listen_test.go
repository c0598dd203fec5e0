package guide_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g1FreePort gives a loopback address that was free a moment ago.
func g1FreePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// g1Dial dials until somebody listens or serve, which gets the error of serving, says that nobody will.
func g1Dial(t *testing.T, addr string, serve <-chan error) net.Conn {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			return nc
		}
		select {
		case err := <-serve:
			t.Fatalf("serving: %v", err)
		case <-limit:
			t.Fatalf("dial: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// g1Closed closes s and takes the error of serving.
func g1Closed(t *testing.T, s *mqttx.Server, serve <-chan error) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := g1Await(t, "the end of serving", serve); !errors.Is(err, mqttx.ErrServerClosed) {
		t.Errorf("serving ended with %v", err)
	}
}

func TestGuide_G15_ListenAndServe(t *testing.T) {
	s := g1Quiet(nil)
	addr, serve := g1FreePort(t), make(chan error, 1)
	go func() { serve <- s.ListenAndServe(addr) }()
	for _, v := range g1Versions() {
		c := mqttest.NewClient(t, g1Dial(t, addr, serve), v)
		g1Code(t, "CONNACK", c.Connect(g1Connect("c-"+v.String(), v)), mqttx.Success)
		c.Subscribe("t", 2)
		for q := range mqttx.QoS(3) {
			g1Code(t, "PUBLISH", c.Publish("t", "x", q), mqttx.Success)
			g1Got(t, c.Receive(), "t", "x", q, false)
		}
		c.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](c)
	}
	g1Closed(t, s, serve)
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("somebody still listens")
	}
}

// An address that cannot be listened on is an error at once, with its cause.
func TestGuide_G15_AddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := g1Quiet(nil).ListenAndServe(l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("ListenAndServe: %v", err)
	}
}

// The empty address is port 1883. Where another program has that port the error says so.
func TestGuide_G15_EmptyAddress(t *testing.T) {
	mine := make(chan struct{}, 1)
	s := g1Quiet(mqttx.Authenticate(func(context.Context, *mqttx.ConnectRequest) error {
		mine <- struct{}{}
		return nil
	}))
	serve := make(chan error, 1)
	go func() { serve <- s.ListenAndServe("") }()
	stop := make(chan struct{})
	var dialer sync.WaitGroup
	dialer.Go(func() {
		connect, _ := g1Connect("c", mqttx.V5).Append(nil, mqttx.V5)
		for {
			if nc, err := net.Dial("tcp", "127.0.0.1:1883"); err == nil {
				nc.Write(connect)
				<-stop
				nc.Close()
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	select {
	case err := <-serve:
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), ":1883") {
			t.Errorf("ListenAndServe: %v", err)
		}
	case <-mine:
		g1Closed(t, s, serve)
	case <-time.After(10 * time.Second):
		t.Error("nobody listens at port 1883")
	}
	close(stop)
	dialer.Wait()
}

// Nothing but keep alive and the deadline for CONNECT ever times a client out.
func TestGuide_G15_Idle(t *testing.T) {
	g1Bubbles(t, func(t *testing.T, v mqttx.Version) {
		s := mqttest.NewServer(t, nil)
		idle := mqttest.Connect(t, s, g1Connect("idle", v))
		p := g1Connect("silent", v)
		p.KeepAlive = 100
		silent := mqttest.Connect(t, s, p)
		nobody := mqttest.Dial(t, s)
		mqttest.Advance(140 * time.Second)
		nobody.Closed()
		silent.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](silent)
		mqttest.Advance(time.Hour)
		g1Bye(t, silent, mqttx.KeepAliveTimeout)
		idle.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](idle)
		mqttest.Advance(30 * 24 * time.Hour)
		idle.Nothing()
	})
}
