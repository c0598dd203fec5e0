package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mqttx": main})
}

func TestScript(t *testing.T) { runScripts(t, "script") }

func TestPitfall117_ListenersOpenToOthers(t *testing.T) { runScripts(t, "pitfall117") }
func TestPitfall118_ClientCertificates(t *testing.T)    { runScripts(t, "pitfall118") }
func TestPitfall121_AddressInUse(t *testing.T)          { runScripts(t, "pitfall121") }

// patience bounds every wait of a script. It is far more than any needs.
const patience = time.Minute

// runScripts runs the scripts of a directory. Besides testscript's own commands they
// have:
//
//	serve FLAG...              start mqttx serve; $TCP, $TLS, $WS, $WSS and $UNIX are the URLs that it listens on
//	start NAME PROGRAM ARG...  start a program
//	await NAME REGEXP          wait until its output or standard error matches
//	signal NAME SIGNAL         send TERM, INT or KILL
//	finish NAME [CODE]         wait for its end and check the exit code; stdout and stderr then look at its output
//	fails CODE PROGRAM ARG...  run a program that has to exit with this code
//	retry PROGRAM ARG...       run a program again and again until it succeeds
//
// serve starts what is called serve for await, signal and finish.
func runScripts(t *testing.T, dir string) {
	t.Parallel()
	files := makeCertificates(t)
	files["bytes"] = []byte{0xFF, 0} // what no script could hold
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", dir),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for name, content := range files {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), content, 0o600); err != nil {
					return err
				}
			}
			env.Setenv("GORACE", goRace())
			env.Values[programsKey{}] = &programs{running: make(map[string]*program)}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": command(1, func(ts *testscript.TestScript, ps *programs, args []string) {
				serve(ts, ps, args)
			}),
			"start": command(2, func(ts *testscript.TestScript, ps *programs, args []string) {
				ps.start(ts, args[0], args[1:])
			}),
			"await": command(2, func(ts *testscript.TestScript, ps *programs, args []string) {
				ps.get(ts, args[0]).await(ts, regexp.MustCompile("(?m)"+args[1]), 1)
			}),
			"signal": command(2, func(ts *testscript.TestScript, ps *programs, args []string) {
				signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt, "KILL": os.Kill}
				ts.Check(ps.get(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
			}),
			"finish": command(1, func(ts *testscript.TestScript, ps *programs, args []string) {
				code := 0
				if len(args) > 1 {
					code, _ = strconv.Atoi(args[1])
				}
				ps.finish(ts, args[0], code)
			}),
			"retry": command(1, func(ts *testscript.TestScript, _ *programs, args []string) {
				for began := time.Now(); ts.Exec(args[0], args[1:]...) != nil; {
					if time.Since(began) > patience {
						ts.Fatalf("never succeeded")
					}
				}
			}),
			"fails": command(2, func(ts *testscript.TestScript, _ *programs, args []string) {
				var exit *exec.ExitError
				err := ts.Exec(args[1], args[2:]...)
				if !errors.As(err, &exit) || fmt.Sprint(exit.ExitCode()) != args[0] {
					ts.Fatalf("want exit code %s, got %v", args[0], err)
				}
			}),
		},
	})
}

// goRace lets a program end without the second that the race detector waits otherwise.
func goRace() string { return os.Getenv("GORACE") + " atexit_sleep_ms=10" }

// command checks what all of the commands above ask for.
func command(least int, do func(*testscript.TestScript, *programs, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("wrong use of this command")
		}
		do(ts, ts.Value(programsKey{}).(*programs), args)
	}
}

// programs are those that a script has started.
type programs struct{ running map[string]*program }

type programsKey struct{}

// program is one that runs, or has run.
type program struct {
	cmd         *exec.Cmd
	out, errout output
	ended       chan struct{} // closed when it has, and all of its output is there
}

// output collects what a program writes, and wakes those who wait for it.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed with the next Write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.b.Write(p)
}

// read gives what there is, and a channel that is closed when there is more.
func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.b.String(), o.more
}

func (ps *programs) start(ts *testscript.TestScript, name string, line []string) *program {
	p := &program{ended: make(chan struct{}), cmd: exec.Command(line[0], line[1:]...)}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), &p.out, &p.errout
	p.cmd.Env = append(os.Environ(), "GORACE="+goRace())
	ts.Check(p.cmd.Start())
	ps.running[name] = p
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	ts.Defer(func() {
		p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

func (ps *programs) get(ts *testscript.TestScript, name string) *program {
	p := ps.running[name]
	if p == nil {
		ts.Fatalf("nothing is called %s", name)
	}
	return p
}

// await waits until either output has n matches, and gives them all.
func (p *program) await(ts *testscript.TestScript, re *regexp.Regexp, n int) [][]string {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for over := false; ; {
		out, moreOut := p.out.read()
		errout, moreErr := p.errout.read()
		found := re.FindAllStringSubmatch(out, -1)
		found = append(found, re.FindAllStringSubmatch(errout, -1)...)
		if len(found) >= n {
			return found
		}
		if over {
			ts.Fatalf("no match for %v\n[stdout]\n%s[stderr]\n%s", re, out, errout)
		}
		select {
		case <-moreOut:
		case <-moreErr:
		case <-p.ended:
			over = true
		case <-timeout.C:
			over = true
		}
	}
}

func (ps *programs) finish(ts *testscript.TestScript, name string, code int) {
	p := ps.get(ts, name)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.ended
	}
	out, _ := p.out.read()
	errout, _ := p.errout.read()
	fmt.Fprint(ts.Stdout(), out)
	fmt.Fprint(ts.Stderr(), errout)
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		ts.Fatalf("%s: exit code %d, want %d\n[stdout]\n%s[stderr]\n%s", name, got, code, out, errout)
	}
	delete(ps.running, name)
}

func serve(ts *testscript.TestScript, ps *programs, args []string) {
	listeners := len(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a != "--listen" }))
	p := ps.start(ts, "serve", append([]string{"mqttx", "serve"}, args...))
	for _, m := range p.await(ts, regexp.MustCompile(`"?msg"?[=:]"?listening"?[ ,]"?url"?[=:]"?(\w+)(://[^"\s]+)`), listeners) {
		ts.Setenv(strings.ToUpper(m[1]), m[1]+m[2])
	}
}
