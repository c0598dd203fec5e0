package topic

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxLength is the greatest length of a Topic Name or Topic Filter in bytes of
// UTF-8 [MQTT-4.7.3-3].
const MaxLength = 65535

// Errors of CheckName and CheckFilter.
var (
	ErrEmpty    = errors.New("topic: empty")                      // [MQTT-4.7.3-1]
	ErrTooLong  = errors.New("topic: longer than 65535 bytes")    // [MQTT-4.7.3-3]
	ErrUTF8     = errors.New("topic: not UTF-8")                  // [MQTT-1.5.4-1]
	ErrNull     = errors.New("topic: contains U+0000")            // [MQTT-4.7.3-2]
	ErrWildcard = errors.New("topic: wildcard out of place")      // [MQTT-4.7.0-1], [MQTT-4.7.1-1], [MQTT-4.7.1-2]
	ErrShare    = errors.New("topic: not $share/{name}/{filter}") // [MQTT-4.8.2-1], [MQTT-4.8.2-2]
)

// CheckName says what is wrong with a Topic Name; nil: nothing. A name has at
// least one character, at most MaxLength bytes of UTF-8, no U+0000 and no
// wildcard. It returns one of the errors of this package, unwrapped.
func CheckName(name string) error {
	if err := checkText(name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "+#") {
		return ErrWildcard
	}
	return nil
}

// CheckFilter says what is wrong with a Topic Filter, shared or not; nil:
// nothing. # must be a whole level and the last one, + a whole level; a filter
// that begins with $share/ needs a Share Name and a filter behind it (G22, G25).
// It returns one of the errors of this package, unwrapped.
func CheckFilter(filter string) error {
	if err := checkText(filter); err != nil {
		return err
	}
	group, rest := Share(filter)
	if group == "" && strings.HasPrefix(filter, sharePrefix) {
		return ErrShare
	}
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if c != '+' && c != '#' {
			continue
		}
		if i > 0 && rest[i-1] != '/' {
			return ErrWildcard
		}
		if i+1 < len(rest) && (c == '#' || rest[i+1] != '/') {
			return ErrWildcard
		}
	}
	return nil
}

func checkText(s string) error {
	switch {
	case s == "":
		return ErrEmpty
	case len(s) > MaxLength:
		return ErrTooLong
	case !utf8.ValidString(s):
		return ErrUTF8
	case strings.IndexByte(s, 0) >= 0:
		return ErrNull
	}
	return nil
}

const sharePrefix = "$share/"

// Share splits the filter of a Shared Subscription, $share/{name}/{filter}, into
// its Share Name and its filter. Of any other filter, and of one that begins
// with $share/ but is not well formed, group is "" and rest is the filter itself.
func Share(filter string) (group, rest string) {
	if !strings.HasPrefix(filter, sharePrefix) {
		return "", filter
	}
	group, rest, _ = strings.Cut(filter[len(sharePrefix):], "/")
	if group == "" || rest == "" || strings.ContainsAny(group, "+#") {
		return "", filter
	}
	return group, rest
}

// Match says whether a filter, shared or not, matches a name. Both are taken as
// they are, byte by byte, without normalising [MQTT-4.7.3-4]; Match does not
// check them, but no input makes it panic. A filter that begins with a wildcard
// does not match a name that begins with $ [MQTT-4.7.2-1]. It takes O(len(name))
// and does not allocate.
func Match(filter, name string) bool {
	_, filter = Share(filter)
	if dollar(name) && wildcardFirst(filter) {
		return false
	}
	f, n, ok := agree(filter, name)
	return ok && n > len(name) && (f > len(filter) || filter[f:] == "#")
}

// agree compares a filter and a name, or the rest of each, level by level until
// one of them has no more. It returns where the rest of each begins, len+1 if
// nothing is left, and false if two levels differ. A # ends the comparison: it
// takes all that is left of the name, and f stays at it.
//
// Match, Router and Tree all judge by it, so that they agree.
func agree(filter, name string) (f, n int, ok bool) {
	for {
		switch {
		case f+1 == len(filter) && filter[f] == '#':
			return f, len(name) + 1, true
		case f < len(filter) && filter[f] == '+' && (f+1 == len(filter) || filter[f+1] == '/'):
			f++
			n = levelEnd(name, n)
		default:
			for f < len(filter) && n < len(name) && filter[f] == name[n] && name[n] != '/' {
				f++
				n++
			}
			if f < len(filter) && filter[f] != '/' || n < len(name) && name[n] != '/' {
				return f, n, false
			}
		}
		f++
		n++
		if f > len(filter) || n > len(name) {
			return f, n, true
		}
	}
}

// levelEnd is where the level that begins at s[i] ends.
func levelEnd(s string, i int) int {
	for i < len(s) && s[i] != '/' {
		i++
	}
	return i
}

// firstLevel is all before the first slash.
func firstLevel(s string) string { return s[:levelEnd(s, 0)] }

// wildcardFirst: is the first level of this filter a wildcard?
func wildcardFirst(filter string) bool {
	l := firstLevel(filter)
	return l == "+" || l == "#"
}

func dollar(name string) bool { return name != "" && name[0] == '$' }
