package topic

import "strings"

// trie keeps values by path, a filter or a name, in nodes by level. A node that
// would have a single child and no value is one with that child: its label has
// several levels. So a path of any depth that shares only its beginning with
// others costs one node.
//
// All methods go down in a loop, never by recursion, so that a path of 65,535
// slashes is one like any other. The caller locks.
type trie[T any] struct {
	root node[T] // has no label and no value
}

// node has one or more levels of a path as its label, and the value of the path
// that ends with it.
type node[T any] struct {
	text  string // ends with the label; of a node with a value the whole path
	kids  *kids[T]
	value T
	from  uint32 // where the label begins in text
	has   bool   // a value
	wild  bool   // a level of the label is a wildcard
}

func newNode[T any](path string, from int) *node[T] {
	n := &node[T]{text: path, from: uint32(from)}
	n.wild = strings.ContainsAny(n.label(), "+#")
	return n
}

func (n *node[T]) label() string { return n.text[n.from:] }

// begins: is this level the first of the label?
func (n *node[T]) begins(level string) bool {
	l := n.label()
	return strings.HasPrefix(l, level) && (len(l) == len(level) || l[len(level)] == '/')
}

// child is the child whose label begins with level, or nil.
func (n *node[T]) child(level string) *node[T] {
	if n.kids == nil {
		return nil
	}
	return n.kids.find(level)
}

// reach is the node of a path, made if there is none. The caller gives it a value
// before anybody else looks.
func (t *trie[T]) reach(path string) *node[T] {
	n := &t.root
	for at := 0; ; {
		c := n.child(path[at:levelEnd(path, at)])
		if c == nil {
			if n.kids == nil {
				n.kids = new(kids[T])
			}
			c = newNode[T](path, at)
			n.kids.add(c)
			return c
		}
		same := common(c.label(), path[at:])
		if same < len(c.label()) {
			c.split(same)
		}
		at += same + 1
		if at > len(path) {
			return c
		}
		n = c
	}
}

// split shortens the label of n to its first bytes, in whole levels, and gives
// the rest, with all that n held, to a new child. n keeps its place, which the
// walk of a Tree relies on.
func (n *node[T]) split(bytes int) {
	rest := newNode[T](n.text, int(n.from)+bytes+1)
	rest.kids, rest.value, rest.has = n.kids, n.value, n.has
	head := newNode[T](keep(n.label()[:bytes], n.text), 0)
	head.kids = new(kids[T])
	head.kids.add(rest)
	*n = *head
}

// common is how many bytes two labels have in common, in whole levels. The first
// level they do have in common.
func common(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if (i == len(a) || a[i] == '/') && (i == len(b) || b[i] == '/') {
		return i
	}
	return strings.LastIndexByte(a[:i], '/')
}

// find is the node of a path if it has a value, else nil.
func (t *trie[T]) find(path string) *node[T] {
	n := &t.root
	for at := 0; ; {
		n = n.child(path[at:levelEnd(path, at)])
		if n == nil || !isPrefix(n.label(), path[at:]) {
			return nil
		}
		at += len(n.label()) + 1
		if at > len(path) {
			break
		}
	}
	if !n.has {
		return nil
	}
	return n
}

// isPrefix: is label the beginning of path, in whole levels?
func isPrefix(label, path string) bool {
	return strings.HasPrefix(path, label) && (len(path) == len(label) || path[len(label)] == '/')
}

// drop removes the value of a path, which there is, and the nodes that are there
// for its sake alone.
//
// A node that is left with one child and no value is not joined with it: a walk
// of a Tree may have either at hand.
func (t *trie[T]) drop(path string) {
	n, stem := &t.root, &t.root // stem: the last node that others need too
	cut := ""                   // its child on the way
	for at := 0; at <= len(path); {
		level := path[at:levelEnd(path, at)]
		if n == &t.root || n.has || n.kids.len() > 1 {
			stem, cut = n, level
		}
		n = n.child(level)
		at += len(n.label()) + 1
	}
	var none T
	n.value, n.has = none, false
	if n.kids != nil {
		n.text, n.from = keep(n.label(), n.text), 0
		return
	}
	stem.kids.remove(cut)
	if stem.kids.len() == 0 {
		stem.kids = nil
	}
}
