package topic

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// MaxLength is the greatest length of a Topic Name or Topic Filter in bytes
// [MQTT-4.7.3-3].
const MaxLength = 65535

// Errors of CheckName and CheckFilter.
var (
	ErrEmpty    = errors.New("topic: empty")
	ErrTooLong  = errors.New("topic: longer than 65535 bytes")
	ErrUTF8     = errors.New("topic: not UTF-8")
	ErrNull     = errors.New("topic: contains U+0000")
	ErrWildcard = errors.New("topic: wildcard out of place")
	ErrShare    = errors.New("topic: not $share/group/filter")
)

// CheckName says what is wrong with a Topic Name; nil: nothing.
func CheckName(name string) error {
	if err := checkText(name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "+#") {
		return ErrWildcard
	}
	return nil
}

// CheckFilter says what is wrong with a Topic Filter; nil: nothing.
func CheckFilter(filter string) error {
	if err := checkText(filter); err != nil {
		return err
	}
	group, rest := Share(filter)
	if rest == "" || group == "" && isShare(filter) || strings.ContainsAny(group, "+#") {
		return ErrShare
	}
	for i := 0; i < len(rest); i++ {
		if c := rest[i]; c == '+' || c == '#' {
			if i > 0 && rest[i-1] != '/' {
				return ErrWildcard
			}
			if i+1 < len(rest) && (c == '#' || rest[i+1] != '/') {
				return ErrWildcard
			}
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

func isShare(filter string) bool { return strings.HasPrefix(filter, sharePrefix) }

// Share splits a shared filter into its group and its filter; group is "" and
// rest the filter itself if it is not shared.
func Share(filter string) (group, rest string) {
	if !isShare(filter) {
		return "", filter
	}
	group, rest, _ = strings.Cut(filter[len(sharePrefix):], "/")
	return group, rest
}

// Match says whether filter matches name.
func Match(filter, name string) bool {
	_, f := Share(filter)
	if name != "" && name[0] == '$' && f != "" && (f[0] == '+' || f[0] == '#') {
		return false
	}
	more := true
	for f != "" || more {
		if f == "#" {
			return true
		}
		fl, frest, fmore := strings.Cut(f, "/")
		nl, nrest, nmore := strings.Cut(name, "/")
		if fl != "+" && fl != nl {
			return false
		}
		if !nmore {
			return !fmore || frest == "#"
		}
		if !fmore {
			return false
		}
		f, name, more = frest, nrest, fmore
	}
	return false
}
