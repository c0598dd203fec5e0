package guide_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// A kick by client id: the client is told, the will goes, Disconnected is called once, the session stays for its time.
func TestGuide_G53_Kick(t *testing.T) {
	for name, kick := range map[string]func(t *testing.T, srv *mqttx.Server) error{
		"Server.Disconnect": func(_ *testing.T, srv *mqttx.Server) error {
			return srv.Disconnect("c", mqttx.AdministrativeAction)
		},
		"Conn.Disconnect": func(t *testing.T, srv *mqttx.Server) error {
			conn, ok := srv.Conn("c")
			if !ok {
				t.Fatal("no connection")
			}
			return conn.Disconnect(mqttx.AdministrativeAction)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g38Each(t, func(t *testing.T, v mqttx.Version) {
				var r g38Record
				srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
				sub := g38Subscriber(t, srv, "w")
				p := g43Will(v)
				p.CleanStart, p.SessionExpiryInterval = false, new(uint32(30))
				c := mqttest.Connect(t, srv, p)
				c.Subscribe("a", 1)
				if err := kick(t, srv); err != nil {
					t.Error(err)
				}
				g38Bye(t, c, mqttx.AdministrativeAction)
				g38Gets(t, sub, "gone")
				r.want(t, "disconnected c")
				if why := r.why(t); why.By != mqttx.ByServer || why.Code != mqttx.AdministrativeAction || !errors.Is(why, mqttx.AdministrativeAction) {
					t.Errorf("Disconnected: %v", why)
				}
				mqttest.Advance(29 * time.Second)
				if err := srv.Publish(t.Context(), &mqttx.Message{Topic: "a", Payload: []byte("kept"), QoS: 1}); err != nil {
					t.Error(err)
				}
				p.Will = nil
				c = mqttest.Connect(t, srv, p)
				if v != mqttx.V31 && !c.Connack.SessionPresent {
					t.Error("no session present")
				}
				g38Gets(t, c, "kept")
				sub.Nothing()
			})
		})
	}
}

// Who is not there cannot be kicked: unknown, or asleep, or gone already.
func TestGuide_G53_Nobody(t *testing.T) {
	g38Bubble(t, "5.0", func(t *testing.T) {
		srv := g38Server(t, &mqttx.Server{})
		if err := srv.Disconnect("nobody", mqttx.AdministrativeAction); !errors.Is(err, mqttx.ErrNoClient) {
			t.Errorf("unknown: %v", err)
		}
		c := mqttest.Connect(t, srv, g47Connect(30))
		conn, _ := srv.Conn("c")
		c.Drop()
		if err := srv.Disconnect("c", mqttx.AdministrativeAction); !errors.Is(err, mqttx.ErrNoClient) {
			t.Errorf("asleep: %v", err)
		}
		if err := conn.Disconnect(mqttx.AdministrativeAction); err == nil {
			t.Error("a connection that has ended was disconnected")
		}
		g47Sessions(t, srv, 1)
	})
}

// Many kicks at once are one.
func TestGuide_G53_AtOnce(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "c", CleanStart: true})
		conn, _ := srv.Conn("c")
		start := make(chan struct{})
		errs := make([]error, 10)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				<-start
				if i%2 == 0 {
					errs[i] = conn.Disconnect(mqttx.AdministrativeAction)
				} else {
					errs[i] = srv.Disconnect("c", mqttx.AdministrativeAction)
				}
			})
		}
		close(start)
		all.Wait()
		succeeded := 0
		for _, err := range errs {
			if err == nil {
				succeeded++
			}
		}
		if succeeded != 1 {
			t.Errorf("%d of 10 kicks say that it was they, want 1", succeeded)
		}
		g38Bye(t, c, mqttx.AdministrativeAction)
		r.why(t)
	})
}

// A callback may kick, its own client and others.
func TestGuide_G53_FromCallback(t *testing.T) {
	g38Each(t, func(t *testing.T, v mqttx.Version) {
		srv := &mqttx.Server{}
		srv.Handler = mqttx.Callbacks[*mqttx.Conn]{Publish: func(_ context.Context, c *mqttx.Conn, m *mqttx.Message) error {
			return srv.Disconnect(string(m.Payload), mqttx.QuotaExceeded)
		}}
		g38Server(t, srv)
		a := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "a", CleanStart: true})
		b := mqttest.Connect(t, srv, &packet.Connect{Version: v, ClientID: "b", CleanStart: true})
		a.Publish("kick", "b", 0)
		g38Bye(t, b, mqttx.QuotaExceeded)
		a.Nothing()
		a.Publish("kick", "a", 0)
		g38Bye(t, a, mqttx.QuotaExceeded)
	})
}

// Texts go with DISCONNECT.
func TestGuide_G54_Properties(t *testing.T) {
	for _, x := range []struct {
		why  error
		want packet.Disconnect
	}{
		{&mqttx.Error{Code: mqttx.SessionTakenOver, Text: "Session taken over"}, packet.Disconnect{Code: 0x8E, ReasonString: "Session taken over"}},
		{
			&mqttx.Error{
				Code: mqttx.UseAnotherServer, Text: "try there", ServerReference: "there:1883",
				User: []mqttx.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}}, Err: errors.New("not for the client"),
			},
			packet.Disconnect{
				Code: 0x9C, ReasonString: "try there", ServerReference: "there:1883",
				User: []packet.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}},
			},
		},
		{mqttx.ServerBusy, packet.Disconnect{Code: 0x89}},
		{fmt.Errorf("not for the client: %w", mqttx.ServerBusy), packet.Disconnect{Code: 0x89}},
		{fmt.Errorf("not for the client: %w", &mqttx.Error{Code: mqttx.ServerBusy, Text: "busy"}), packet.Disconnect{Code: 0x89, ReasonString: "busy"}},
		{&mqttx.Error{Text: "no code"}, packet.Disconnect{Code: 0x80, ReasonString: "no code"}},
		{errors.New("not for the client"), packet.Disconnect{Code: 0x80}},
	} {
		g38Bubble(t, x.want.Code.String()+" "+x.want.ReasonString, func(t *testing.T) {
			var r g38Record
			srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
			c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true})
			if err := srv.Disconnect("c", x.why); err != nil {
				t.Fatal(err)
			}
			if got := g38Bye(t, c, x.want.Code); !reflect.DeepEqual(*got, x.want) {
				t.Errorf("DISCONNECT %+v, want %+v", *got, x.want)
			}
			if why := r.why(t); why.Code != x.want.Code || why.Text != x.want.ReasonString {
				t.Errorf("Disconnected: %v", why)
			}
		})
	}
}

// What would pass the client's Maximum Packet Size is left out: user properties first, then the text, the server
// reference last.
func TestGuide_G54_Small(t *testing.T) {
	why := &mqttx.Error{
		Code: mqttx.UseAnotherServer, Text: strings.Repeat("t", 20), ServerReference: "there",
		User: []mqttx.UserProperty{{Name: "name", Value: strings.Repeat("v", 50)}},
	}
	for _, x := range []struct {
		max  uint32
		want packet.Disconnect
	}{
		{200, packet.Disconnect{Code: 0x9C, ReasonString: why.Text, ServerReference: "there", User: why.User}},
		{60, packet.Disconnect{Code: 0x9C, ReasonString: why.Text, ServerReference: "there"}},
		{20, packet.Disconnect{Code: 0x9C, ServerReference: "there"}},
		{10, packet.Disconnect{Code: 0x9C}},
	} {
		g38Bubble(t, strconv.Itoa(int(x.max)), func(t *testing.T) {
			srv := g38Server(t, &mqttx.Server{})
			c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true, MaximumPacketSize: x.max})
			before := len(c.Raw())
			if before > int(x.max) {
				t.Errorf("CONNACK of %d bytes, limit %d", before, x.max)
			}
			if err := srv.Disconnect("c", why); err != nil {
				t.Fatal(err)
			}
			if got := g38Bye(t, c, x.want.Code); !reflect.DeepEqual(*got, x.want) {
				t.Errorf("DISCONNECT %+v, want %+v", *got, x.want)
			}
			if n := len(c.Raw()) - before; n > int(x.max) {
				t.Errorf("DISCONNECT of %d bytes, limit %d", n, x.max)
			}
		})
	}
}

// g54Row is a line of the table of Reason Codes.
type g54Row struct {
	code     mqttx.ReasonCode
	name     string
	packets  []string
	bySender string // who may send it in DISCONNECT
}

// g54Codes reads the table of the standard's Reason Codes.
func g54Codes(t *testing.T) []g54Row {
	t.Helper()
	f, err := os.Open("../../spec/testdata/reason-codes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []g54Row
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "\t")
		code, err := strconv.ParseUint(cells[0], 0, 8)
		if err != nil { // the head
			continue
		}
		rows = append(rows, g54Row{mqttx.ReasonCode(code), cells[1], strings.Split(cells[2], ","), cells[4]})
	}
	if len(rows) < 45 {
		t.Fatalf("%d Reason Codes in the table", len(rows))
	}
	return rows
}

// A code that a server may not send in DISCONNECT is an error and changes nothing; all others are sent.
func TestGuide_G54_Codes(t *testing.T) {
	legal := map[mqttx.ReasonCode]bool{
		mqttx.BadAuthenticationMethod: true, // one of the standard's two tables has it
	}
	for _, row := range g54Codes(t) {
		if row.bySender == "both" || row.bySender == "server" {
			legal[row.code] = true
		}
	}
	if !legal[mqttx.AdministrativeAction] || legal[mqttx.DisconnectWithWillMessage] || legal[mqttx.BadUserNameOrPassword] {
		t.Fatal("the table of Reason Codes is not what it was")
	}
	g38Bubble(t, "5.0", func(t *testing.T) {
		var r g38Record
		srv := g38Server(t, &mqttx.Server{Handler: r.callbacks()})
		c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true})
		for i := range 256 {
			code := mqttx.ReasonCode(i)
			if legal[code] {
				d := mqttest.Connect(t, srv, &packet.Connect{ClientID: "d", CleanStart: true})
				if err := srv.Disconnect("d", code); err != nil {
					t.Errorf("%v: %v", code, err)
					continue
				}
				g38Bye(t, d, code)
				continue
			}
			if err := srv.Disconnect("c", code); err == nil {
				t.Errorf("%v (%#x): no error", code, i)
			}
			if err := srv.Disconnect("c", &mqttx.Error{Code: code, Text: "text"}); err == nil && i >= 0x80 {
				t.Errorf("*Error of %v (%#x): no error", code, i)
			} else if i < 0x80 {
				// *Error below 0x80 is UnspecifiedError, which may be sent: shown in TestGuide_G54_Properties.
				g38Bye(t, c, mqttx.UnspecifiedError)
				c = mqttest.Connect(t, srv, &packet.Connect{ClientID: "c", CleanStart: true})
			}
		}
		c.Nothing()
		c.Send(&packet.Pingreq{})
		mqttest.Expect[*packet.Pingresp](c)
	})
}

// The codes bear the standard's names.
func TestGuide_G54_Names(t *testing.T) {
	for _, row := range g54Codes(t) {
		name := row.name
		if row.code < mqttx.DisconnectWithWillMessage && name != "Success" {
			continue // further names of 0 to 2
		}
		if got := row.code.String(); got != name {
			t.Errorf("%#.2x is %q, want %q", byte(row.code), got, name)
		}
	}
	for code, want := range map[mqttx.ReasonCode]byte{
		mqttx.ServerBusy: 0x89, mqttx.SessionTakenOver: 0x8E, mqttx.AdministrativeAction: 0x98,
	} {
		if byte(code) != want {
			t.Errorf("%v is %#x, want %#x", code, byte(code), want)
		}
	}
}
