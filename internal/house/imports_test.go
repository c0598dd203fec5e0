package house_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// place is where a package stands: what it may import of this module and of others. The first place whose pattern
// matches the package's folder holds.
type place struct {
	pattern string   // a folder; with /* also what is below it; * alone: any
	own     []string // patterns of folders of this module that it may import
	others  []string // prefixes of other modules that it may import; "*": any
	why     string
}

// The direction of imports is
//
//	cmd -> internal/config, internal/bench, internal/client -> admin auth ws store cluster -> mqttx -> packet topic internal/* -> std
//
// and only to the right.
var places = []place{
	{
		".",
		[]string{"packet", "topic", "internal/wheel", "internal/poll"},
		[]string{"golang.org/x/sys"},
		"whoever builds a broker on this module takes the root package alone: it brings nothing but the standard library, and knows none of the packages that are built on it",
	},
	{
		"packet", nil, nil,
		"the codec is used alone, by clients and tools too: it knows no broker and brings nothing but the standard library",
	},
	{
		"topic", nil, nil,
		"the topic index is used alone: it knows no broker and brings nothing but the standard library",
	},
	{
		"internal/wheel", nil, nil,
		"the root package stands on it, so it brings nothing but the standard library",
	},
	{
		"internal/poll", nil,
		[]string{"golang.org/x/sys"},
		"the root package stands on it, so it brings system calls and nothing else",
	},
	{
		"mqttest/*",
		[]string{".", "packet", "topic"},
		nil,
		"tests of users import it, so it brings nothing but the broker and the standard library",
	},
	{
		"auth/*",
		[]string{".", "auth/*", "packet", "topic", "internal/*"},
		[]string{"*"},
		bracedWhy,
	},
	{
		"ws/*",
		[]string{".", "ws/*", "packet", "topic", "internal/*"},
		[]string{"*"},
		bracedWhy,
	},
	{
		"store/*",
		[]string{".", "store/*", "packet", "topic", "internal/*"},
		[]string{"*"},
		bracedWhy,
	},
	{
		"cluster/*",
		[]string{".", "cluster/*", "packet", "topic", "internal/*"},
		[]string{"*"},
		bracedWhy,
	},
	{
		"admin/*",
		[]string{".", "admin/*", "packet", "topic", "internal/*"},
		[]string{"*"},
		bracedWhy,
	},
	{
		"cmd/*",
		[]string{".", "packet", "topic", "auth/*", "ws/*", "store/*", "cluster/*", "admin/*", "cmd/*", "internal/config", "internal/client", "internal/bench"},
		[]string{"*"},
		"the ready broker is built on the public API alone, as everybody's broker must be able to be; only its configuration, its client and its load generator are its own",
	},
	{
		"examples/*",
		[]string{".", "packet", "topic", "auth/*", "ws/*", "store/*", "cluster/*", "admin/*"},
		nil,
		"an example shows what a user can write, and a user cannot import internal packages",
	},
	{
		"internal/config",
		[]string{".", "auth/*", "ws/*", "store/*", "cluster/*", "admin/*", "packet", "topic"},
		[]string{"*"},
		"the configuration makes a Server by the public API alone, as a user's program would",
	},
	{
		"internal/client",
		[]string{"packet", "topic"},
		[]string{"*"},
		"the client must be able to find the broker's mistakes, so it shares nothing with it but the codec",
	},
	{
		"internal/testnet/*",
		[]string{".", "packet", "topic", "ws/*", "auth/*", "store/*", "mqttest/*", "internal/*"},
		[]string{"*"},
		testWhy,
	},
	{
		"internal/tests/*",
		[]string{".", "packet", "topic", "ws/*", "auth/*", "store/*", "mqttest/*", "internal/*"},
		[]string{"*"},
		testWhy,
	},
	{
		"internal/*",
		[]string{"packet", "topic", "internal/*"},
		[]string{"*"},
		"internal packages serve those above them and know none of them",
	},
	{
		"bench/*",
		[]string{".", "packet", "topic", "internal/client", "internal/bench"},
		[]string{"*"},
		"measuring tools see a broker from outside",
	},
}

const testWhy = "packages that only tests import may use the whole module but its programs"

const bracedWhy = "each of auth, ws, store, cluster and admin is taken or left by itself: it builds on the broker's public API and never on another of them"

// matches tells whether a folder is what a pattern says.
func matches(pattern, dir string) bool {
	if base, below := strings.CutSuffix(pattern, "/*"); below {
		return dir == base || strings.HasPrefix(dir, base+"/")
	}
	return pattern == dir
}

func placeOf(dir string) (place, bool) {
	i := slices.IndexFunc(places, func(p place) bool { return matches(p.pattern, dir) })
	if i < 0 {
		return place{}, false
	}
	return places[i], true
}

// allows tells whether a package in p may import the path.
func (p place) allows(imported string) bool {
	if own, ok := ownFolder(imported); ok {
		return slices.ContainsFunc(p.own, func(pattern string) bool { return matches(pattern, own) })
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(p.others, func(prefix string) bool {
		return prefix == "*" || imported == prefix || strings.HasPrefix(imported, prefix+"/")
	})
}

// ownFolder gives the folder of a package of this module.
func ownFolder(imported string) (dir string, own bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func TestImportsHaveOneDirection(t *testing.T) {
	m := open(t)
	m.eachPackage(func(dir string, files []source) {
		p, known := placeOf(dir)
		if !known {
			t.Errorf("%s has no place in the direction of imports: add it to the table of this test, with its reason", dir)
			return
		}
		for _, s := range files {
			for _, spec := range s.file.Imports {
				imported, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !p.allows(imported) {
					t.Errorf("%s: package %s must not import %s: %s", m.at(spec.Pos()), dir, imported, p.why)
				}
			}
		}
	})
}

// forTests are the packages that only tests import.
func forTests(dir string) bool {
	return slices.ContainsFunc([]string{"mqttest/*", "internal/testnet/*", "internal/tests/*"}, func(p string) bool { return matches(p, dir) })
}

func TestProductsStandWithoutTests(t *testing.T) {
	m := open(t)
	m.eachPackage(func(dir string, files []source) {
		if forTests(dir) {
			return
		}
		for _, s := range files {
			for _, spec := range s.file.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				own, isOwn := ownFolder(name)
				if name == "testing" || strings.HasPrefix(name, "testing/") || isOwn && forTests(own) {
					t.Errorf("%s: package %s must not import %s: it would bring flags and code of tests into every program; helpers for tests are in mqttest, internal/testnet, or _test.go files",
						m.at(spec.Pos()), dir, name)
				}
			}
		}
	})
}

// The table itself must refuse what it is there to refuse.
func TestPlacesRefuse(t *testing.T) {
	for _, c := range []struct {
		dir, imported string
		want          bool
	}{
		{".", "net/http", true},
		{".", module + "/packet", true},
		{".", module + "/auth", false},
		{".", module + "/internal/client", false},
		{".", "golang.org/x/sys/unix", true},
		{".", "golang.org/x/system", false},
		{".", "github.com/gobwas/ws", false},
		{"packet", module + "/topic", false},
		{"packet", module, false},
		{"topic", module + "/packet", false},
		{"internal/wheel", "golang.org/x/sys/unix", false},
		{"auth", module, true},
		{"auth", module + "/ws", false},
		{"auth/scram", module + "/auth", true},
		{"store/disk", module + "/admin", false},
		{"cmd/mqttx", module + "/internal/config", true},
		{"cmd/mqttx", module + "/internal/wheel", false},
		{"examples/hello", module + "/internal/client", false},
		{"internal/client", module, false},
		{"internal/spec", module, false},
		{"mqttest", "pgregory.net/rapid", false},
	} {
		t.Run(c.dir+" imports "+c.imported, func(t *testing.T) {
			p, ok := placeOf(c.dir)
			if !ok {
				t.Fatalf("%s has no place", c.dir)
			}
			if got := p.allows(c.imported); got != c.want {
				t.Errorf("allowed: %v, want %v", got, c.want)
			}
		})
	}
}
