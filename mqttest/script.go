package mqttest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// RunScript runs the dialogues of a file, each with a Server of its own that newServer makes, and in a synctest bubble of
// its own. newServer is called in the bubble and must not call methods of the Server, so that lines can still set its fields;
// nil: a Server that lets in everybody. The package comment describes the notation.
func RunScript(t *testing.T, path string, newServer func(t testing.TB) *mqttx.Server) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ds, err := readScript(path, string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range ds {
		run := func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { d.run(t, newServer) })
		}
		if d.title == "" {
			run(t)
		} else {
			t.Run(d.title, run)
		}
	}
}

// RunScripts runs each file that the pattern of [filepath.Glob] matches as a subtest, see [RunScript]. That there is none
// fails the test.
func RunScripts(t *testing.T, pattern string, newServer func(t testing.TB) *mqttx.Server) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("mqttest: no file matches %s", pattern)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		t.Run(name, func(t *testing.T) { RunScript(t, path, newServer) })
	}
}

// dialogue is what one Server goes through.
type dialogue struct {
	title string
	steps []step
}

// step is a line of a script, or a part of one between semicolons.
type step struct {
	where string // file:line
	text  string
	words []string
}

// readScript splits a script into dialogues.
func readScript(path, script string) ([]dialogue, error) {
	ds := []dialogue{{}}
	lines := bufio.NewScanner(strings.NewReader(script))
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		where := fmt.Sprintf("%s:%d", path, n)
		if text == "" || text[0] == '#' {
			continue
		}
		if title, ok := strings.CutPrefix(text, "=="); ok {
			ds = append(ds, dialogue{title: strings.Trim(title, "= ")})
			continue
		}
		ws, err := words(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		d := &ds[len(ds)-1]
		for _, part := range splitWords(ws, ";") {
			if len(part) == 0 {
				return nil, fmt.Errorf("%s: nothing beside ;", where)
			}
			d.steps = append(d.steps, step{where, strings.Join(part, " "), part})
		}
	}
	if len(ds[0].steps) == 0 {
		ds = ds[1:]
	}
	if len(ds) == 0 {
		return nil, fmt.Errorf("%s: no lines", path)
	}
	for _, d := range ds {
		if len(d.steps) == 0 {
			return nil, fmt.Errorf("%s: no lines in %q", path, d.title)
		}
	}
	return ds, nil
}

// splitWords splits at the words that are sep.
func splitWords(ws []string, sep string) (parts [][]string) {
	begin := 0
	for i, w := range ws {
		if w == sep {
			parts = append(parts, ws[begin:i])
			begin = i + 1
		}
	}
	return append(parts, ws[begin:])
}

// script runs a dialogue. It is the testing.TB of its clients, so that what they report begins with the line.
type script struct {
	testing.TB
	step    step
	server  *mqttx.Server
	served  bool // a client has dialled: settings are fixed
	clients map[string]*Client
	last    string // the client of the line before
	ids     map[string]uint16
}

func (d dialogue) run(t testing.TB, newServer func(t testing.TB) *mqttx.Server) {
	if newServer == nil {
		newServer = func(t testing.TB) *mqttx.Server { return NewServer(t, mqttx.AllowAnonymous()) }
	}
	x := &script{TB: t, clients: make(map[string]*Client), ids: make(map[string]uint16)}
	x.server = newServer(x)
	for _, s := range d.steps {
		x.step = s
		x.do(s.words)
	}
}

// Fatalf names the line.
func (x *script) Fatalf(format string, args ...any) {
	x.TB.Helper()
	x.TB.Fatalf("%s: %s\n\t%s", x.step.where, clip(x.step.text), fmt.Sprintf(format, args...))
}

// Errorf names the line.
func (x *script) Errorf(format string, args ...any) {
	x.TB.Helper()
	x.TB.Errorf("%s: %s\n\t%s", x.step.where, clip(x.step.text), fmt.Sprintf(format, args...))
}

// do does one step.
func (x *script) do(ws []string) {
	x.Helper()
	switch ws[0] {
	case "server":
		x.set(ws[1:])
		return
	case "wait":
		x.wait(ws[1:])
		return
	case ">", "<":
		if x.last == "" {
			x.Fatalf("which client?")
		}
		ws = append([]string{x.last}, ws...)
	}
	x.last = ws[0]
	switch {
	case len(ws) > 2 && ws[1] == ">":
		x.send(ws[0], ws[2:])
	case len(ws) > 2 && ws[1] == "<":
		x.expect(ws[0], ws[2:])
	case len(ws) == 2:
		x.act(ws[0], ws[1])
	default:
		x.Fatalf("not a line of a script")
	}
}

// wait lets virtual time pass.
func (x *script) wait(ws []string) {
	x.Helper()
	if len(ws) != 1 {
		x.Fatalf("want one duration, such as 5s")
	}
	d, err := time.ParseDuration(ws[0])
	if err != nil || d <= 0 {
		x.Fatalf("want a duration, such as 5s")
	}
	<-time.After(d)
	synctest.Wait()
}

// set sets fields of the server.
func (x *script) set(ws []string) {
	x.Helper()
	if x.served {
		x.Fatalf("settings have to come before the first client")
	}
	for _, w := range ws {
		if err := setServer(x.server, w); err != nil {
			x.Fatalf("%v", err)
		}
	}
}

// send sends packets, several with & between them in one write.
func (x *script) send(name string, ws []string) {
	x.Helper()
	c := x.clients[name]
	var all []byte
	for i, part := range splitWords(ws, "&") {
		l, err := readLine(part, x.ids, false)
		if err != nil {
			x.Fatalf("%v", err)
		}
		_, anew := l.p.(*packet.Connect)
		if i == 0 && (c == nil || anew && c.in.ended()) {
			c = Dial(x, x.server)
			x.clients[name], x.served = c, true
		}
		b, err := l.bytes(c.Version)
		if err != nil {
			x.Fatalf("%v", err)
		}
		c.observe(b)
		all = append(all, b...)
	}
	c.Write(all)
	synctest.Wait()
}

// expect takes the next packet, which must have come by now.
func (x *script) expect(name string, ws []string) {
	x.Helper()
	l, err := readLine(ws, x.ids, true)
	if err != nil {
		x.Fatalf("%v", err)
	}
	c := x.client(name)
	synctest.Wait()
	a, err := c.parse(nil)
	switch {
	case err == errNothing:
		x.Fatalf("want %s\n\tgot  nothing", clip(strings.Join(ws, " ")))
	case err != nil:
		x.Fatalf("want %s, but %v", clip(strings.Join(ws, " ")), err)
	case !l.fits(a, x.ids) && l.p == nil:
		x.Fatalf("want hex % x\n\tgot  hex % x, that is %s", l.raw, head(a.raw), c.show(a.p))
	case !l.fits(a, x.ids):
		x.Fatalf("want %s\n\tgot  %s", clip(strings.Join(ws, " ")), c.show(a.p))
	}
}

// act is what a client does or sees besides packets.
func (x *script) act(name, what string) {
	x.Helper()
	c := x.client(name)
	synctest.Wait()
	switch what {
	case "nothing":
		c.none(nil)
	case "closed":
		c.closedIn(0)
		delete(x.clients, name)
	case "drop":
		c.Drop()
		delete(x.clients, name)
	case "stop":
		c.StopReading()
	case "read":
		c.GoOnReading()
	default:
		x.Fatalf("%s is nothing that a client does: closed, drop, nothing, stop, read", what)
	}
	synctest.Wait()
}

// client is one that has dialled.
func (x *script) client(name string) *Client {
	x.Helper()
	c := x.clients[name]
	if c == nil {
		x.Fatalf("%s has no connection", name)
	}
	return c
}
