package house_test

import (
	"bytes"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

const (
	maxFileLines = 500 // a file of one subject is read in one sitting
	maxFuncLines = 80  // a function is seen at once
)

func TestFilesAndFunctionsAreShort(t *testing.T) {
	m := open(t)
	for _, s := range m.sources {
		if s.isTest() || ast.IsGenerated(s.file) {
			continue
		}
		if n := m.fset.File(s.file.FileStart).LineCount(); n >= maxFileLines {
			t.Errorf("%s has %d lines: a file has fewer than %d and one subject; this one has grown a second", s.path, n, maxFileLines)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := m.fset.Position(f.End()).Line - m.fset.Position(f.Pos()).Line + 1; n >= maxFuncLines {
				t.Errorf("%s: %s has %d lines: a function has fewer than %d, so that it is seen at once", m.at(f.Pos()), f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

// promise finds the words that put work off. They are written apart here, so that this file does not have them.
var promise = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)

func TestNothingIsPutOff(t *testing.T) {
	m := open(t)
	names := m.texts
	for _, s := range m.sources {
		names = append(names, s.path)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(m.top, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			if w := promise.Find(line); w != nil {
				t.Errorf("%s:%d: %s: what is to be done is done, or said under what is not there yet; no mark in a source is ever read again", name, i+1, w)
			}
		}
	}
}
