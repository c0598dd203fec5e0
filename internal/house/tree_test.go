package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module that the rules are about.
const module = "github.com/e8743928/mqttx"

// source is one Go file.
type source struct {
	path string // from the top of the module, with slashes
	file *ast.File
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// dir is the folder of the file: "." for the root package.
func (s source) dir() string { return path.Dir(s.path) }

// tree is what the module consists of.
type tree struct {
	top     string // the folder of go.mod
	fset    *token.FileSet
	sources []source
	texts   []string // files for people, from the top: Markdown and the like
}

// skipped are folders that are not ours, or not sources.
func skipped(name string) bool {
	return name == "testdata" || name == "node_modules" || name == "vendor" || strings.HasPrefix(name, ".") && name != "." && name != ".ci"
}

// load parses the module, once for all tests.
var load = sync.OnceValues(func() (*tree, error) {
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return nil, err
	}
	t := &tree{top: top, fset: token.NewFileSet()}
	err = filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case d.IsDir() && skipped(d.Name()):
			return filepath.SkipDir
		case d.IsDir():
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil && rel != "." {
				return filepath.SkipDir // a module of its own
			}
		case strings.HasSuffix(rel, ".go"):
			f, err := parser.ParseFile(t.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			t.sources = append(t.sources, source{rel, f})
		case isText(rel):
			t.texts = append(t.texts, rel)
		}
		return nil
	})
	return t, err
})

// isText tells whether a file that is not Go is written by hand, for people or for a shell.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".md", ".sh", ".yml", ".yaml", ".js", ".mjs", ".py", ".html", ".css":
		return true
	}
	return path.Base(name) == "Makefile" || strings.HasPrefix(name, ".ci/run")
}

func open(t *testing.T) *tree {
	t.Helper()
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// at gives a position as file:line, from the top of the module.
func (m *tree) at(pos token.Pos) string {
	p := m.fset.Position(pos)
	rel, err := filepath.Rel(m.top, p.Filename)
	if err != nil {
		rel = p.Filename
	}
	p.Filename, p.Column = filepath.ToSlash(rel), 0
	return p.String()
}

// packages gives the files that are not tests, by folder.
func (m *tree) packages() map[string][]source {
	by := make(map[string][]source)
	for _, s := range m.sources {
		if !s.isTest() {
			by[s.dir()] = append(by[s.dir()], s)
		}
	}
	return by
}

// eachPackage calls f for every package in order.
func (m *tree) eachPackage(f func(dir string, files []source)) {
	by := m.packages()
	for _, dir := range slices.Sorted(maps.Keys(by)) {
		f(dir, by[dir])
	}
}

// isMain tells whether the files are a program.
func isMain(files []source) bool { return files[0].file.Name.Name == "main" }
