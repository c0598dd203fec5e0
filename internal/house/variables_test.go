package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

const noState = "two Servers in one process share nothing, so packages keep no state: error values, pools, and tables that never change are all that a package variable may be"

func TestPackagesKeepNoState(t *testing.T) {
	m := open(t)
	m.eachPackage(func(_ string, files []source) {
		said := make(map[state]bool)
		for _, group := range bySystem(files) {
			for _, found := range stateIn(m.fset, group) {
				if !said[found] {
					said[found] = true
					t.Errorf("%s: %s: %s", m.at(found.pos), found.what, noState)
				}
			}
		}
	})
}

// The rule must find what it is there to find.
func TestStateIsFound(t *testing.T) {
	for _, c := range []struct {
		code string
		want int
	}{
		{`var ErrFull = errors.New("full")`, 0},
		{`var ErrFull error = fullError("full"); type fullError string`, 0},
		{`var names = [...]string{"a", "b"}; func f(i int) string { return names[i] }`, 0},
		{`var buffers = sync.Pool{New: func() any { return new(int) }}`, 0},
		{`var digits = regexp.MustCompile("[0-9]")`, 0},
		{`var rows = [2]row{}; type row struct{ n int }; func f() int { r := &rows[0]; return r.n }`, 0},
		{`var sums = sum(); func sum() (s [4]int) { s[0] = 1; return s }`, 0},
		{`var _ error = (*e)(nil)`, 0},
		{`var n = 1; func f(n int) { n++ }`, 0},
		{`var n = 1; func f() { n++ }`, 1},
		{`var n int`, 1},
		{`var mu sync.Mutex`, 1},
		{`var mu = sync.Mutex{}`, 1},
		{`var all = &list{}; type list struct{}`, 1},
		{`var all = make(map[string]int)`, 1},
		{`var all = map[string]int{}; func f() { all["a"] = 1 }`, 1},
		{`var all = map[string]int{}; func f() { delete(all, "a") }`, 1},
		{`var ErrFull = errors.New("full"); func f() { ErrFull = nil }`, 1},
		{`var def = server.New()`, 1},
		{`var rows = [2]row{}; type row struct{ n int }; func f() { r := &rows[0]; r.n = 1 }`, 1},
		{`var rows = [2]row{}; type row struct{ n int }; func f() { g(&rows[0]) }; func g(*row) {}`, 1},
	} {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, "x.go", "package x; "+c.code, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if found := stateIn(fset, []source{{"x.go", f}}); len(found) != c.want {
			t.Errorf("%s: found %v, want %d", c.code, found, c.want)
		}
	}
}

// bySystem gives groups of files that may be built together: files with a build constraint declare the same names again.
func bySystem(files []source) [][]source {
	var common []source
	var groups [][]source
	for _, s := range files {
		if constrained(s) {
			groups = append(groups, []source{s})
		} else {
			common = append(common, s)
		}
	}
	if len(groups) == 0 {
		return [][]source{common}
	}
	for i := range groups {
		groups[i] = append(groups[i], common...)
	}
	return groups
}

func constrained(s source) bool {
	for _, g := range s.file.Comments {
		if g.Pos() > s.file.Package {
			break
		}
		if slices.ContainsFunc(g.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:build") }) {
			return true
		}
	}
	return false
}

// nothing is an importer that knows no package: names of this package are resolved without any other.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	p.MarkComplete()
	return p, nil
}

// state is a package variable that should not be, or a change of one.
type state struct {
	pos  token.Pos
	what string
}

// stateIn judges the package variables of files, and looks for what changes them.
func stateIn(fset *token.FileSet, files []source) []state {
	info := &types.Info{Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: nothing{}, Error: func(error) {}} // only names are asked for
	list := make([]*ast.File, 0, len(files))
	for _, s := range files {
		list = append(list, s.file)
	}
	conf.Check("x", fset, list, info)
	var found []state
	vars := make(map[types.Object]bool)
	for _, f := range list {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				found = append(found, judgeVars(g, info, vars)...)
			}
		}
	}
	for _, f := range list {
		known := aliases(f, info, vars)
		ast.Inspect(f, func(n ast.Node) bool {
			if n == nil || known[n] {
				return true
			}
			for _, x := range changed(n) {
				if id := base(x); id != nil && vars[info.Uses[id]] {
					found = append(found, state{n.Pos(), id.Name + " is changed here"})
				}
			}
			return true
		})
	}
	return found
}

// judgeVars judges one declaration and notes in vars what it declares.
func judgeVars(g *ast.GenDecl, info *types.Info, vars map[types.Object]bool) (found []state) {
	embedded := g.Doc != nil && slices.ContainsFunc(g.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		for i, name := range v.Names {
			if name.Name == "_" {
				continue // a proof for the compiler
			}
			vars[info.Defs[name]] = true
			if embedded || isNamed(v.Type, "error") && len(v.Values) > 0 {
				continue
			}
			if len(v.Values) != len(v.Names) || !isConstantValue(v.Values[i]) {
				found = append(found, state{name.Pos(), "variable " + name.Name})
			}
		}
	}
	return found
}

// aliases finds pointers into tables, made by row := &rows[i] to read a row without copying it. They go into vars, so that
// writing through one is found; the taking of the address is none.
func aliases(f *ast.File, info *types.Info, vars map[types.Object]bool) map[ast.Node]bool {
	known := make(map[ast.Node]bool)
	ast.Inspect(f, func(n ast.Node) bool {
		a, ok := n.(*ast.AssignStmt)
		if !ok || a.Tok != token.DEFINE || len(a.Lhs) != len(a.Rhs) {
			return true
		}
		for i, x := range a.Rhs {
			u, ok := x.(*ast.UnaryExpr)
			if !ok || u.Op != token.AND {
				continue
			}
			if id := base(u.X); id != nil && vars[info.Uses[id]] {
				known[u] = true
				vars[info.Defs[a.Lhs[i].(*ast.Ident)]] = true
			}
		}
		return true
	})
	return known
}

func isNamed(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

// makers are the functions whose results do not change.
var makers = []string{
	"errors.New", "fmt.Errorf", "regexp.MustCompile", "netip.MustParseAddr", "netip.MustParsePrefix", "template.Must",
	"strings.NewReplacer", "bytes.Repeat",
}

// isConstantValue tells whether a value is one that a package variable may have: an error, a pool, or a table.
func isConstantValue(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.BasicLit, *ast.Ident, *ast.BinaryExpr, *ast.FuncLit, *ast.SelectorExpr:
		return true
	case *ast.UnaryExpr:
		return x.Op != token.AND && x.Op != token.ARROW
	case *ast.CompositeLit:
		return selector(x.Type) == "sync.Pool" || !mutable(x.Type)
	case *ast.CallExpr:
		if name := selector(x.Fun); name != "" {
			return slices.Contains(makers, name)
		}
		switch f := x.Fun.(type) {
		case *ast.Ident: // a function of the package that makes a table; new and make make what is to be changed
			return f.Name != "new" && f.Name != "make"
		case *ast.FuncLit:
			return true
		}
		return true // a conversion
	}
	return false
}

// selector gives an expression of the form a.b as text.
func selector(x ast.Expr) string {
	if s, ok := x.(*ast.SelectorExpr); ok {
		if id, ok := s.X.(*ast.Ident); ok {
			return id.Name + "." + s.Sel.Name
		}
	}
	return ""
}

// mutable tells whether a type is made to be changed: locks, atomics, and structs that have some.
func mutable(x ast.Expr) bool {
	found := false
	if x != nil {
		ast.Inspect(x, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				name := selector(e)
				found = found || strings.HasPrefix(name, "sync.") || strings.HasPrefix(name, "atomic.")
			}
			_, isChan := n.(*ast.ChanType)
			found = found || isChan
			return !found
		})
	}
	return found
}

// changed gives what a node writes to, or lets others write to.
func changed(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"append", "clear", "copy", "delete"}, id.Name) && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// base gives the variable that an expression is a part of.
func base(x ast.Expr) *ast.Ident {
	for {
		switch y := x.(type) {
		case *ast.Ident:
			return y
		case *ast.IndexExpr:
			x = y.X
		case *ast.SliceExpr:
			x = y.X
		case *ast.SelectorExpr:
			x = y.X
		case *ast.StarExpr:
			x = y.X
		case *ast.ParenExpr:
			x = y.X
		default:
			return nil
		}
	}
}
