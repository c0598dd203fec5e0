package spec

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the pages anew")

const root = "../.."

// coverage gives all four tables with their tests.
func coverage(t *testing.T) map[string]Coverage {
	t.Helper()
	tests, err := FindTests(root)
	if err != nil {
		t.Fatal(err)
	}
	open, err := OpenParts()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]Coverage)
	for name, load := range map[string]func() (Table, error){"guide": Guide, "mqtt5": MQTT5, "mqtt311": MQTT311, "pitfalls": Pitfalls} {
		table, err := load()
		if err != nil {
			t.Fatal(err)
		}
		c, err := Cover(table, tests, open)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = c
	}
	return all
}

// TestTablesAreWhole holds the number of rows, so that none is lost.
func TestTablesAreWhole(t *testing.T) {
	for name, want := range map[string]int{"guide": 102, "mqtt5": 251, "mqtt311": 141, "pitfalls": 150} {
		c := coverage(t)[name]
		seen := make(map[string]bool)
		for _, r := range c.Rows {
			if seen[r.ID] {
				t.Errorf("%s: %s stands twice", name, r.ID)
			}
			seen[r.ID] = true
		}
		if len(seen) != want {
			t.Errorf("%s has %d rows, want %d", name, len(seen), want)
		}
	}
}

// TestOpenNamesRows fails on an open part of a row that does not exist.
func TestOpenNamesRows(t *testing.T) {
	known := make(map[string]bool)
	for _, c := range coverage(t) {
		for _, r := range c.Rows {
			known[c.openKey(r.ID)] = true
		}
	}
	open, err := OpenParts()
	if err != nil {
		t.Fatal(err)
	}
	for id := range open {
		if !known[id] {
			t.Errorf("open.tsv names %s, which is no row", id)
		}
	}
}

// TestNothingIsMissing fails on a row that no test proves and that is not open as a whole.
func TestNothingIsMissing(t *testing.T) {
	for name, c := range coverage(t) {
		if ids := c.Missing(); len(ids) > 0 {
			t.Errorf("%s: no test for %s", name, strings.Join(ids, ", "))
		}
	}
}

// TestPages makes the pages and fails where what is in docs differs.
func TestPages(t *testing.T) {
	all := coverage(t)
	for file, page := range map[string]string{
		"docs/guide-coverage.md": GuidePage(all["guide"]),
		"docs/conformance.md":    ConformancePage(all["mqtt5"], all["mqtt311"], all["pitfalls"]),
	} {
		path := filepath.Join(root, filepath.FromSlash(file))
		if *update {
			if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ReplaceAll(string(have), "\r\n", "\n") != page {
			t.Errorf("%s is stale: go test ./internal/spec -update", file)
		}
	}
}
