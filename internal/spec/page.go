package spec

import (
	"fmt"
	"strings"
)

// Coverage is a table with the tests that prove its rows.
type Coverage struct {
	Table
	Tests map[string][]Test // by row
	Open  map[string][]Open
}

// Cover finds the tests of a table. It fails on a test that names a row which is not there.
func Cover(t Table, tests []Test, open map[string][]Open) (Coverage, error) {
	c := Coverage{Table: t, Tests: make(map[string][]Test), Open: open}
	known := make(map[string]bool)
	for _, r := range t.Rows {
		known[r.ID] = true
	}
	for _, x := range tests {
		id, err := t.IDOf(x.Name)
		if err != nil {
			return c, fmt.Errorf("%s: %w", x.File, err)
		}
		if id == "" {
			continue
		}
		if !known[id] {
			return c, fmt.Errorf("%s: %s names row %s of %q, which does not exist", x.File, x.Name, id, t.Name)
		}
		c.Tests[id] = append(c.Tests[id], x)
	}
	return c, nil
}

// Missing gives the rows that need a test, have none, and are not open as a whole.
func (c Coverage) Missing() []string {
	var ids []string
	for _, r := range c.Rows {
		if r.NeedsTest() && len(c.Tests[r.ID]) == 0 && !c.openWhole(r.ID) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// openWhole tells whether a row waits as a whole for work to come.
func (c Coverage) openWhole(id string) bool {
	for _, o := range c.Open[c.openKey(id)] {
		if o.What == "all" {
			return true
		}
	}
	return false
}

// openKey is the id of a row in the list of what is open, where pitfalls begin with P.
func (c Coverage) openKey(id string) string {
	if c.Prefix == "TestPitfall" {
		return "P" + id
	}
	return id
}

// counts gives how many rows need a test and how many of these have one.
func (c Coverage) counts() (need, have int) {
	for _, r := range c.Rows {
		if r.NeedsTest() {
			need++
			if len(c.Tests[r.ID]) > 0 {
				have++
			}
		}
	}
	return need, have
}

// render writes the table as Markdown, a section per area.
func (c Coverage) render(w *strings.Builder) {
	area := ""
	for _, r := range c.Rows {
		if r.Area != area {
			area = r.Area
			fmt.Fprintf(w, "\n### %s\n\n| id | what | tests |\n| --- | --- | --- |\n", area)
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", r.ID, escape(r.Text), c.cell(r))
	}
}

// cell lists what proves a row, and what of it is open.
func (c Coverage) cell(r Row) string {
	var parts []string
	if !r.NeedsTest() {
		parts = append(parts, "binds clients only")
	}
	for _, t := range c.Tests[r.ID] {
		parts = append(parts, fmt.Sprintf("`%s` (%s)", t.Name, t.File))
	}
	for _, o := range c.Open[c.openKey(r.ID)] {
		parts = append(parts, fmt.Sprintf("open: %s, with %s", o.What, o.Closes))
	}
	return strings.Join(parts, "<br>")
}

func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.ReplaceAll(s, `\|`, "|"))
}

const made = "<!-- Made from test names by `go test ./internal/spec -update`; do not edit. -->\n"

// GuidePage makes docs/guide-coverage.md.
func GuidePage(c Coverage) string {
	var w strings.Builder
	need, have := c.counts()
	w.WriteString(made)
	fmt.Fprintf(&w, "# The server guide, row by row\n\n%d of %d rows have tests. Each test bears the id of its row; what waits for work to come is marked open.\n", have, need)
	c.render(&w)
	return w.String()
}

// ConformancePage makes docs/conformance.md.
func ConformancePage(v5, v311, pitfalls Coverage) string {
	var w strings.Builder
	w.WriteString(made)
	w.WriteString("# Conformance\n\nEvery numbered statement of the standards, in our own wording, with the tests that prove it. Statements that bind clients\nonly need a test where a server can be seen to react.\n\n| | rows that need a test | with tests |\n| --- | --- | --- |\n")
	for _, c := range []Coverage{v5, v311, pitfalls} {
		need, have := c.counts()
		fmt.Fprintf(&w, "| %s | %d | %d |\n", c.Name, need, have)
	}
	for _, c := range []Coverage{v5, v311, pitfalls} {
		fmt.Fprintf(&w, "\n## %s\n", c.Name)
		c.render(&w)
	}
	return w.String()
}
