package packet_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// table reads a table of the standard, each row by column name.
func table(t *testing.T, name string) []map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "internal", "spec", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	names := strings.Split(lines[0], "\t")
	var rows []map[string]string
	for _, line := range lines[1:] {
		fields := strings.Split(line, "\t")
		if len(fields) != len(names) {
			t.Fatalf("%s: %d fields in %q", name, len(fields), line)
		}
		row := map[string]string{}
		for i, f := range fields {
			row[names[i]] = f
		}
		rows = append(rows, row)
	}
	return rows
}
