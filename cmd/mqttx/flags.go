package main

import (
	"strings"

	"github.com/spf13/pflag"
)

// parsed is a flag whose text is read by a function. An error of it is a usage error.
type parsed[T any] struct {
	into *T
	text string // as given; to begin with, the default as help shows it
	kind string // for help
	read func(string) (T, error)
}

func (p *parsed[T]) Set(s string) (err error) {
	if *p.into, err = p.read(s); err == nil {
		p.text = s
	}
	return err
}

func (p *parsed[T]) String() string { return p.text }
func (p *parsed[T]) Type() string   { return p.kind }

// parsedList is a parsed flag that may be given several times.
type parsedList[T any] struct {
	into *[]T
	kind string
	read func(string) (T, error)
}

func (p *parsedList[T]) Set(s string) error {
	v, err := p.read(s)
	if err == nil {
		*p.into = append(*p.into, v)
	}
	return err
}

func (p *parsedList[T]) String() string { return "" }
func (p *parsedList[T]) Type() string   { return p.kind }

// given lists, as --a, --b, which of the flags are on the command line.
func given(fs *pflag.FlagSet, names ...string) (flags []string) {
	for _, name := range names {
		if f := fs.Lookup(name); f != nil && f.Changed {
			flags = append(flags, "--"+name)
		}
	}
	return flags
}

// onlyOne refuses flags that contradict each other.
func onlyOne(fs *pflag.FlagSet, names ...string) error {
	if flags := given(fs, names...); len(flags) > 1 {
		return usagef("%s cannot be given together", strings.Join(flags, " and "))
	}
	return nil
}
