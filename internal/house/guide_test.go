package house_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The Go code of the server guide stands, but for its indentation, in a Go file: an example or a test, which are built and
// run.
func TestGuideShowsWhatIsTested(t *testing.T) {
	m := open(t)
	text, err := os.ReadFile(filepath.Join(m.top, "docs", "guide.md"))
	if err != nil {
		t.Fatal(err)
	}
	var tested []string
	for _, s := range m.sources {
		if matches("examples/*", s.dir()) || s.dir() == "internal/tests/guidedoc" {
			code, err := os.ReadFile(filepath.Join(m.top, filepath.FromSlash(s.path)))
			if err != nil {
				t.Fatal(err)
			}
			tested = append(tested, unindent(string(code)))
		}
	}
	blocks := strings.Split(string(text), "```go\n")[1:]
	if len(blocks) < 15 {
		t.Fatalf("docs/guide.md shows %d pieces of Go", len(blocks))
	}
	for _, b := range blocks {
		code, _, closed := strings.Cut(b, "```")
		if !closed {
			t.Fatal("docs/guide.md: code that does not end")
		}
		if !slices.ContainsFunc(tested, func(x string) bool { return strings.Contains(x, unindent(code)) }) {
			t.Errorf("docs/guide.md shows code that no example and no test has:\n%s", code)
		}
	}
}

// unindent takes away the indentation of every line, and runs of blanks, with which comments are lined up.
func unindent(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.Join(strings.Fields(line), " "))
		b.WriteByte('\n')
	}
	return b.String()
}
