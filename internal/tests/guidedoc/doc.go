// Package guidedoc has no code: its tests hold and run the Go code that docs/guide.md shows.
package guidedoc
