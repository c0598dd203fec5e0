// Package spec holds what mqttx has promised, as tables, and makes the pages that show which tests prove it: the rows of
// the server guide, the numbered statements of MQTT 5.0 and 3.1.1, and the defects of other brokers that mqttx must not
// have. A test belongs to a row by its name; the pages are made from the names and nothing else.
package spec

import (
	"bufio"
	"embed"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

//go:embed testdata/guide.tsv testdata/mqtt5.tsv testdata/mqtt311.tsv testdata/pitfalls.md testdata/open.tsv
var tables embed.FS

// Row is one promise.
type Row struct {
	ID    string // as in its table: G32, MQTT-3.1.2-24, 17
	Area  string // callbacks, codec, a group of pitfalls
	Actor string // who is bound: server, both, client; empty where it is always the server
	Text  string // our wording
	Test  string // how a test sees it
}

// NeedsTest tells whether a test must prove the row: all but statements that bind clients alone and that no server can be
// seen to react to.
func (r Row) NeedsTest() bool {
	return r.Actor != "client" || strings.Contains(r.Test, "Server reaction") || strings.Contains(r.Test, "Server mirror")
}

// Table is a list of promises and the prefix of the tests that prove them.
type Table struct {
	Name   string
	Prefix string // of test names: TestGuide_, TestMQTT5_
	Rows   []Row
}

// Open is a part of a row that waits for work that is still to come.
type Open struct{ ID, What, Closes string }

// Guide gives the rows of the server guide.
func Guide() (Table, error) {
	t := Table{Name: "Server guide", Prefix: "TestGuide_"}
	err := readTSV("guide.tsv", 5, func(f []string) {
		t.Rows = append(t.Rows, Row{ID: f[0], Area: f[1], Text: f[2], Test: f[4]})
	})
	return t, err
}

// MQTT5 gives the numbered statements of MQTT 5.0.
func MQTT5() (Table, error) { return statements("MQTT 5.0", "TestMQTT5_", "mqtt5.tsv") }

// MQTT311 gives the numbered statements of MQTT 3.1.1.
func MQTT311() (Table, error) { return statements("MQTT 3.1.1", "TestMQTT311_", "mqtt311.tsv") }

func statements(name, prefix, file string) (Table, error) {
	t := Table{Name: name, Prefix: prefix}
	err := readTSV(file, 6, func(f []string) {
		t.Rows = append(t.Rows, Row{ID: f[0], Actor: f[1], Area: f[2], Text: f[3], Test: f[4]})
	})
	return t, err
}

var pitfallRow = regexp.MustCompile(`^\| (\d+) \| (.*) \| (.*) \|$`)

// Pitfalls gives the defects of other brokers.
func Pitfalls() (Table, error) {
	t := Table{Name: "Pitfalls", Prefix: "TestPitfall"}
	b, err := tables.ReadFile("testdata/pitfalls.md")
	if err != nil {
		return t, err
	}
	group := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if g, ok := strings.CutPrefix(line, "## "); ok {
			group = g
		}
		if m := pitfallRow.FindStringSubmatch(line); m != nil {
			t.Rows = append(t.Rows, Row{ID: m[1], Area: group, Text: m[2], Test: m[3]})
		}
	}
	return t, nil
}

// OpenParts gives what is still open, by row.
func OpenParts() (map[string][]Open, error) {
	open := make(map[string][]Open)
	err := readTSV("open.tsv", 3, func(f []string) {
		open[f[0]] = append(open[f[0]], Open{f[0], f[1], f[2]})
	})
	return open, err
}

// readTSV calls f for every line but the first.
func readTSV(name string, columns int, f func(fields []string)) error {
	b, err := tables.Open("testdata/" + name)
	if err != nil {
		return err
	}
	defer b.Close()
	sc := bufio.NewScanner(b)
	sc.Buffer(nil, 1<<20)
	for n := 1; sc.Scan(); n++ {
		fields := strings.Split(sc.Text(), "\t")
		if len(fields) != columns {
			return fmt.Errorf("%s:%d: %d columns, want %d", name, n, len(fields), columns)
		}
		if n > 1 {
			f(fields)
		}
	}
	return sc.Err()
}

var (
	guideTest     = regexp.MustCompile(`^TestGuide_([GN]\d+)_`)
	statementTest = regexp.MustCompile(`^TestMQTT(?:5|311)_(\d+)_(\d+)_(\d+)_(\d+)_`)
	pitfallTest   = regexp.MustCompile(`^TestPitfall(\d{3})_`)
)

// IDOf gives the row that a test belongs to by its name; empty: none of this table.
func (t Table) IDOf(test string) (id string, err error) {
	if !strings.HasPrefix(test, t.Prefix) {
		return "", nil
	}
	switch t.Prefix {
	case "TestGuide_":
		if m := guideTest.FindStringSubmatch(test); m != nil {
			return m[1], nil
		}
	case "TestPitfall":
		if m := pitfallTest.FindStringSubmatch(test); m != nil {
			n, _ := strconv.Atoi(m[1])
			return strconv.Itoa(n), nil
		}
	default:
		if m := statementTest.FindStringSubmatch(test); m != nil {
			return fmt.Sprintf("MQTT-%s.%s.%s-%s", m[1], m[2], m[3], m[4]), nil
		}
	}
	return "", fmt.Errorf("%s begins like a test of %q but names no row", test, t.Name)
}
