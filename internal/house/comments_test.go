package house_test

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

func TestOnePackageComment(t *testing.T) {
	m := open(t)
	m.eachPackage(func(dir string, files []source) {
		var with []string
		for _, s := range files {
			if s.file.Doc != nil {
				with = append(with, s.path)
			}
		}
		switch len(with) {
		case 1:
		case 0:
			t.Errorf("package %s has no package comment: it says what the package is for, and is the first that a reader sees", dir)
		default:
			t.Errorf("package %s has package comments in %s: one file has it, since go doc runs several together", dir, strings.Join(with, ", "))
		}
	})
}

func TestExportedNamesHaveComments(t *testing.T) {
	m := open(t)
	m.eachPackage(func(_ string, files []source) {
		if isMain(files) {
			return
		}
		for _, s := range files {
			for _, d := range s.file.Decls {
				m.checkDecl(t, d)
			}
		}
	})
}

// checkDecl asks for a comment on every exported name that a declaration makes.
func (m *tree) checkDecl(t *testing.T, d ast.Decl) {
	t.Helper()
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
			m.checkComment(t, d.Name, d.Doc, true)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil && !d.Lparen.IsValid() {
					doc = d.Doc
				}
				if spec.Name.IsExported() {
					m.checkComment(t, spec.Name, doc, true)
					m.checkMembers(t, spec)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() {
						m.checkComment(t, name, firstOf(spec.Doc, spec.Comment, d.Doc), false)
					}
				}
			}
		}
	}
}

// checkMembers asks for a comment on the methods of an exported interface.
func (m *tree) checkMembers(t *testing.T, spec *ast.TypeSpec) {
	t.Helper()
	face, ok := spec.Type.(*ast.InterfaceType)
	if !ok {
		return
	}
	for _, f := range face.Methods.List {
		for _, name := range f.Names {
			if name.IsExported() {
				m.checkComment(t, name, firstOf(f.Doc, f.Comment), false)
			}
		}
	}
}

// checkComment asks for a comment; named: it begins with the name.
func (m *tree) checkComment(t *testing.T, name *ast.Ident, doc *ast.CommentGroup, named bool) {
	t.Helper()
	if doc == nil || strings.TrimSpace(doc.Text()) == "" {
		t.Errorf("%s: %s has no comment: an exported name says what it is, its units, defaults, limits and errors, since its user does not read the code", m.at(name.Pos()), name.Name)
		return
	}
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	if named && !startsWith(text, name.Name) {
		t.Errorf("%s: the comment of %s does not begin with the name: go doc and search show its first words alone", m.at(name.Pos()), name.Name)
	}
}

// startsWith tells whether word is the first word of text.
func startsWith(text, word string) bool {
	rest, ok := strings.CutPrefix(text, word)
	return ok && (rest == "" || !token.IsIdentifier("x"+rest[:1]))
}

func firstOf(groups ...*ast.CommentGroup) *ast.CommentGroup {
	for _, g := range groups {
		if g != nil {
			return g
		}
	}
	return nil
}

// receiver gives the name of the type that a method is of.
func receiver(f *ast.FuncDecl) string {
	x := f.Recv.List[0].Type
	for {
		switch y := x.(type) {
		case *ast.StarExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.IndexListExpr:
			x = y.X
		case *ast.Ident:
			return y.Name
		default:
			return ""
		}
	}
}

// Whoever sets no limit relies on a default, so every limit tells its own.
func TestLimitsTellTheirDefaults(t *testing.T) {
	m := open(t)
	fields := m.rootStruct(t, "Limits")
	for _, f := range fields.List {
		said := firstOf(f.Doc, f.Comment, &ast.CommentGroup{}).Text()
		for _, name := range f.Names {
			switch kind := typeName(f.Type); {
			case kind == "bool" && said == "":
				t.Errorf("%s: Limits.%s has no comment", m.at(name.Pos()), name.Name)
			case kind == "bool":
			case kind != "int" && kind != "time.Duration":
				t.Errorf("%s: Limits.%s is no number, duration or switch, whose zero value can mean the default", m.at(name.Pos()), name.Name)
			case !strings.Contains(said, "default"):
				t.Errorf("%s: Limits.%s tells no default: zero means the default, so it must be known", m.at(name.Pos()), name.Name)
			}
		}
	}
}

func typeName(x ast.Expr) string {
	if id, ok := x.(*ast.Ident); ok {
		return id.Name
	}
	return selector(x)
}

// rootStruct finds a struct of the root package.
func (m *tree) rootStruct(t *testing.T, name string) *ast.FieldList {
	t.Helper()
	for _, s := range m.packages()["."] {
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				spec := spec.(*ast.TypeSpec)
				if fields, ok := spec.Type.(*ast.StructType); ok && spec.Name.Name == name && fields.Fields.NumFields() > 0 {
					return fields.Fields
				}
			}
		}
	}
	t.Fatalf("no struct %s with fields in the root package", name)
	return nil
}
