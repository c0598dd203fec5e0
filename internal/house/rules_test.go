package house_test

import (
	"errors"
	"fmt"
	"go/ast"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Within a bubble of testing/synctest Sleep moves the clock and waits for nobody; anywhere else it makes a test slow, or
// dependent on the speed of the machine, and mostly both.
func TestTestsDoNotSleep(t *testing.T) {
	m := open(t)
	for _, s := range m.sources {
		if !s.isTest() || s.imports("testing/synctest") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if x, ok := n.(*ast.SelectorExpr); ok && selector(x) == "time.Sleep" {
				t.Errorf("%s: time.Sleep in a test: wait for what is to happen, or use the clock of testing/synctest; real time makes a test slow or dependent on the machine's speed", m.at(x.Pos()))
			}
			return true
		})
	}
}

func (s source) imports(name string) bool {
	for _, spec := range s.file.Imports {
		if spec.Path.Value == `"`+name+`"` {
			return true
		}
	}
	return false
}

// link is a link of Markdown, with or without a title.
var link = regexp.MustCompile(`\]\(([^()\s]+)(?:\s+"[^"]*")?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	m := open(t)
	for _, name := range m.texts {
		if path.Ext(name) != ".md" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.top, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, found := range link.FindAllStringSubmatch(line, -1) {
				if err := m.follow(name, found[1]); err != nil {
					t.Errorf("%s:%d: %v", name, i+1, err)
				}
			}
		}
	}
}

// follow looks whether a link of a file leads to a file of the module; links to elsewhere are not followed.
func (m *tree) follow(from, to string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	if u.IsAbs() || u.Path == "" {
		return nil
	}
	file := path.Join(path.Dir(from), u.Path)
	if path.IsAbs(u.Path) || file == ".." || strings.HasPrefix(file, "../") {
		return fmt.Errorf("link to %s leads out of the module", to)
	}
	if _, err := os.Stat(filepath.Join(m.top, filepath.FromSlash(file))); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("link to %s leads nowhere", to)
	} else if err != nil {
		return err
	}
	return nil
}

// The Go code of the README is cut from the examples, which are built and tested.
func TestReadmeShowsTheExamples(t *testing.T) {
	m := open(t)
	text, err := os.ReadFile(filepath.Join(m.top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for _, s := range m.sources {
		if matches("examples/*", s.dir()) {
			code, err := os.ReadFile(filepath.Join(m.top, filepath.FromSlash(s.path)))
			if err != nil {
				t.Fatal(err)
			}
			examples = append(examples, string(code))
		}
	}
	_, rest, found := strings.Cut(string(text), "```go\n")
	if !found {
		t.Fatal("the README shows no Go")
	}
	for found {
		code, after, closed := strings.Cut(rest, "```")
		if !closed {
			t.Fatal("README.md: code that does not end")
		}
		if !slices.ContainsFunc(examples, func(x string) bool { return strings.Contains(x, code) }) {
			t.Errorf("README.md shows code that is in no example, so that nothing says it works:\n%s", code)
		}
		_, rest, found = strings.Cut(after, "```go\n")
	}
}

// Decisions are numbered without gaps, and each says what was decided.
func TestDecisionsAreNumbered(t *testing.T) {
	m := open(t)
	folder := filepath.Join(m.top, "docs", "adr")
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range list {
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(e.Name(), want) || path.Ext(e.Name()) != ".md" {
			t.Errorf("docs/adr/%s: want a name that begins with %s and ends with .md: decisions are quoted by number", e.Name(), want)
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"# ", "\n## Why\n", "\n## Decision\n", "\n## Consequences\n"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("docs/adr/%s lacks %q: a decision without it cannot be judged anew", e.Name(), strings.TrimSpace(part))
			}
		}
	}
}
