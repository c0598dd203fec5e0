package mqttest_test

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
)

func TestScripts(t *testing.T) {
	mqttest.RunScripts(t, "testdata/*.txt", nil)
}

func TestScriptServer(t *testing.T) {
	made := 0
	mqttest.RunScript(t, "testdata/takeover.txt", func(t testing.TB) *mqttx.Server {
		made++
		return mqttest.NewServer(t, mqttx.AllowAnonymous())
	})
	if made != 3 {
		t.Errorf("%d servers for 3 dialogues", made)
	}
}

const opening = "a > CONNECT v5 id=a clean\na < CONNACK\n"

// A script fails in the line that is wrong, and tells what came in its own words.
func TestScriptFails(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"code", "a > CONNECT v5 id=a clean\na < CONNACK 0x87", "x.txt:2: a < CONNACK 0x87\n\twant CONNACK 0x87\n\tgot  CONNACK 0 present=0"},
		{"unnamed code", "a > CONNECT v311 clean=0\na < CONNACK", "want CONNACK\n\tgot  CONNACK 2 present=0"},
		{"unnamed codes", opening + "a > SUBSCRIBE 1 a/#/b\n< SUBACK 1", "x.txt:4: < SUBACK 1\n"},
		{"named", "a > CONNECT v5 id=a\na < CONNACK present=1", "want CONNACK present=1\n\tgot  CONNACK 0 present=0"},
		{"none", "a > CONNECT v5\na < CONNACK id=none", "\n\tgot  CONNACK 0 present=0 id=auto-"},
		{"only", opening + "a > PUBLISH t x\na > SUBSCRIBE 1 t qos=1 ; < SUBACK 1 1\na > PUBLISH t x qos=1 id=1\na < PUBLISH t x only", "x.txt:6: a < PUBLISH t x only\n\twant PUBLISH t x only\n\tgot  PUBLISH t \"x\" qos=1 id=1"},
		{"flag", opening + "a > SUBSCRIBE 1 t ; < SUBACK 1\n > PUBLISH t x\n < PUBLISH retain", "want PUBLISH retain\n\tgot  PUBLISH t \"x\""},
		{"type", opening + "a > PINGREQ ; < PUBLISH t x", "x.txt:3: < PUBLISH t x\n\twant PUBLISH t x\n\tgot  PINGRESP"},
		{"hex", opening + "a > PINGREQ ; < hex 00", "want hex 00\n\tgot  hex d0 00, that is PINGRESP"},
		{"bound", opening + "a > SUBSCRIBE 1 t qos=1 ; < SUBACK\n > PUBLISH t qos=1 id=9\n < PUBLISH id=$m ; < PUBACK $m", "x.txt:5: < PUBACK $m\n\twant PUBACK $m\n\tgot  PUBACK 9 0"},
		{"not bound", opening + "a > PUBACK $m", "$m: no packet came"},
		{"nothing came", opening + "a < PINGRESP", "x.txt:3: a < PINGRESP\n\twant PINGRESP\n\tgot  nothing"},
		{"too soon", "a > CONNECT v5 clean keepalive=1 ; < CONNACK\nwait 100ms\na < DISCONNECT", "x.txt:3: a < DISCONNECT\n\twant DISCONNECT\n\tgot  nothing"},
		{"not nothing", opening + "a > PINGREQ\na nothing", "x.txt:4: a nothing\n\tmqttest: want nothing, got PINGRESP"},
		{"not closed", opening + "a closed", "x.txt:3: a closed\n\tmqttest: want the end of the connection, but it is open"},
		{"closed later", "server ConnectTimeout=1s\na > hex 10\na closed", "x.txt:3: a closed\n\tmqttest: want the end of the connection, but it is open"},
		{"not closed, not reading", opening + "a stop ; a closed", "mqttest: want the end of the connection, but it is open"},
		{"packet before the end", opening + "a > AUTH 0x18 method=x\na closed", "want the end of the connection, got DISCONNECT 0x82"},
		{"closed and nothing", opening + "a > DISCONNECT\na nothing", "the server closed the connection"},
		{"closed and a packet", opening + "a > DISCONNECT\na < PINGRESP", "want PINGRESP, but the server closed the connection"},
		{"no client", "b closed", "b has no connection"},
		{"dropped", opening + "a drop\na < PINGRESP", "a has no connection"},
		{"which", "> PINGREQ", "which client?"},
		{"no packet", "a > HELLO", "HELLO is no packet"},
		{"no field", "a > CONNECT colour=red", "colour=red: CONNECT has no field colour"},
		{"no number", "a > CONNECT keepalive=70000", "keepalive=70000: 70000 is not a number of this field"},
		{"no version", "a > CONNECT v6", "v6 is none of v31, v311, v5"},
		{"no bool", "a > CONNECT clean=yes", "yes is neither 0 nor 1"},
		{"no user", "a > CONNECT user=x", "want name:value"},
		{"no will", "a > CONNECT willdelay=1", "will= has to stand before"},
		{"will option", "a > CONNECT will=t,x,3", "3 is neither a QoS nor retain"},
		{"no format", "a > PUBLISH t x format=text", "text is neither bytes nor utf8"},
		{"no code", "a > DISCONNECT Nonsense", "Nonsense is no Reason Code"},
		{"no hex", "a > hex 0g", "hex: "},
		{"no hex payload", "a > PUBLISH t hex:0", "hex:0: "},
		{"no repetition", `a > PUBLISH t "x"*y`, "want a number behind *"},
		{"option before filter", "a > SUBSCRIBE 1 nolocal", "has to stand behind a filter"},
		{"too many", "a > PINGREQ 1", "too many words for PINGREQ"},
		{"cannot be sent", "a > SUBSCRIBE 0 t", "SUBSCRIBE"},
		{"no act", opening + "a sleeps", "sleeps is nothing that a client does"},
		{"no line", opening + "a b c", "not a line of a script"},
		{"wait", "wait long", "want a duration"},
		{"wait what", "wait", "want one duration"},
		{"late setting", opening + "server Connections=1", "settings have to come before the first client"},
		{"no setting", "server Colour=red", "Colour is neither Compat, Disabled nor a field of mqttx.Limits"},
		{"no value", "server Connections", "want a field of the server"},
		{"bad int", "server Connections=x", "x"},
		{"bad duration", "server Idle=5", "5"},
		{"bad bool", "server DisconnectWhenFull=x", "x"},
		{"bad compat", "server Compat=x", "unknown compat option"},
		{"bad feature", "server Disabled=x", "x is none of retain, wildcard, shared, alias"},
		{"quotes", "a > PUBLISH t \"x", "x.txt:1: quotes without an end"},
		{"semicolon", "a drop ;", "x.txt:1: nothing beside ;"},
		{"empty", "# nothing", "x.txt: no lines"},
		{"empty dialogue", "== one\n== two\nwait 1s", `x.txt: no lines in "one"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := failure(t, func(t testing.TB) { mqttest.RunText(t, "x.txt", c.script, nil) })
				if !strings.Contains(got, c.want) {
					t.Errorf("want a failure with\n%s\ngot\n%s", c.want, got)
				}
			})
		})
	}
}

// The script in the package comment is a good one.
func TestScriptInPackageComment(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(doc), "//\t== takeover")
	script, _, ended := strings.Cut(script, "\n//\n")
	if !found || !ended {
		t.Fatal("no script in doc.go")
	}
	script = "== takeover" + strings.ReplaceAll(script, "\n//\t", "\n")
	synctest.Test(t, func(t *testing.T) { mqttest.RunText(t, "doc.go", script, nil) })
}
