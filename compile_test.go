package mqttx_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMistakesDoNotCompile shows what the compiler says to a callback that is misspelt, has the wrong type, or is no
// handler at all (G2).
func TestMistakesDoNotCompile(t *testing.T) {
	for _, test := range []struct{ name, body, want string }{
		{"right", `mqttx.Server{Handler: mqttx.Callbacks[*client]{Publish: publish}}`, ""},
		{"misspelt", `mqttx.Server{Handler: mqttx.Callbacks[*client]{OnPublish: publish}}`, "unknown field OnPublish"},
		{"type of the state", `mqttx.Server{Handler: mqttx.Callbacks[client]{Publish: publish}}`, "cannot use publish"},
		{"method of the state", `mqttx.Server{Handler: mqttx.Callbacks[*client]{Publish: (*client).publish}}`, "cannot use (*client).publish"},
		{"no type", `mqttx.Server{Handler: mqttx.Callbacks{Publish: publish}}`, "without instantiation"},
		{"plain function", `mqttx.Server{Handler: publish}`, "does not implement mqttx.Handler"},
		{"number as answer", `mqttx.Disconnect(0x98)`, "cannot use 0x98"},
		{"error by value", `error(mqttx.Error{})`, "pointer receiver"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			src := `package main

import (
	"context"

	"github.com/e8743928/mqttx"
)

type client struct{}

func publish(ctx context.Context, c *client, m *mqttx.Message) error { return nil }

func (c *client) publish(ctx context.Context, m *mqttx.Message) error { return nil }

func main() { _ = ` + test.body + ` }
`
			dir := t.TempDir()
			file := filepath.Join(dir, "main.go")
			if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "out"), file).CombinedOutput()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("does not compile: %s", out)
			case test.want != "" && err == nil:
				t.Errorf("compiles, want an error with %q", test.want)
			case !strings.Contains(string(out), test.want):
				t.Errorf("compiler says\n%s\nwant %q", out, test.want)
			}
		})
	}
}
