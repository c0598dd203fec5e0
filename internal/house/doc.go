// Package house holds the rules of the house as tests: which package may import which, what a package may keep in
// variables, how long files and functions may be, what must have a comment, where links lead. It has no code of its own.
//
// The tests read the sources and run nothing, so they take no longer than parsing does. They see every file, whatever
// system it is built for. A failure names the place, the rule, and why there is the rule.
package house
