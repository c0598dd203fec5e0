package mqttest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A word of the notation is what stands between spaces; in "quotes", which may begin anywhere in a word, spaces and
// separators are plain text and the escapes of Go hold. Words keep their quotes until text or data takes them off.

// words splits a line.
func words(line string) ([]string, error) {
	var out []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return out, nil
		}
		n, err := endOf(line, " \t")
		if err != nil {
			return nil, err
		}
		out = append(out, line[:n])
		line = line[n:]
	}
}

// endOf gives the index of the first of the stop bytes outside quotes, or len(s).
func endOf(s, stops string) (int, error) {
	for i := 0; i < len(s); {
		switch {
		case s[i] == '"':
			q, err := strconv.QuotedPrefix(s[i:])
			if err != nil {
				return 0, fmt.Errorf("quotes without an end: %s", s[i:])
			}
			i += len(q)
		case strings.IndexByte(stops, s[i]) >= 0:
			return i, nil
		default:
			i++
		}
	}
	return len(s), nil
}

// cutWord cuts at the first sep outside quotes.
func cutWord(w string, sep string) (before, after string, found bool) {
	n, err := endOf(w, sep)
	if err != nil || n == len(w) {
		return w, "", false
	}
	return w[:n], w[n+1:], true
}

// text takes the quotes off a word. "x"*3 is xxx.
func text(w string) (string, error) {
	var b strings.Builder
	for w != "" {
		if w[0] != '"' {
			n := strings.IndexByte(w, '"')
			if n < 0 {
				n = len(w)
			}
			b.WriteString(w[:n])
			w = w[n:]
			continue
		}
		q, err := strconv.QuotedPrefix(w)
		if err != nil {
			return "", fmt.Errorf("quotes without an end: %s", w)
		}
		s, _ := strconv.Unquote(q)
		w = w[len(q):]
		if times, ok := strings.CutPrefix(w, "*"); ok {
			n, err := strconv.Atoi(times)
			if err != nil || n < 0 || n*len(s) > 1<<28 {
				return "", fmt.Errorf("%s: want a number behind *", w)
			}
			s, w = strings.Repeat(s, n), ""
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// data is text, or bytes as hex:0a0b. It is never nil.
func data(w string) ([]byte, error) {
	if h, ok := strings.CutPrefix(w, "hex:"); ok {
		b, err := hex.DecodeString(h)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w, err)
		}
		return append([]byte{}, b...), nil
	}
	s, err := text(w)
	return append([]byte{}, s...), err
}

// hexBytes reads words of hex digits.
func hexBytes(ws []string) ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(ws, ""))
	if err != nil {
		return nil, fmt.Errorf("hex: %w", err)
	}
	return b, nil
}

// reserved are the words that are no text where they stand alone: fields that need no value among them.
var reserved = []string{none, only, "hex", "clean", "bridge", "responseinfo", "noproblem", "retain", "dup", "nolocal", "aspublished"}

// quoteText writes s as a word, with quotes if it needs them.
func quoteText(s string) string {
	plain := s != "" && !slices.Contains(reserved, s) && !strings.HasPrefix(s, "hex:") && !strings.ContainsFunc(s, func(r rune) bool {
		return strings.ContainsRune(`"=,:*;&\`, r) || !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// quoteData writes b as a word in quotes, or as hex: if it is not text.
func quoteData(b []byte) string {
	s := string(b)
	if bytes.ContainsRune(b, unicode.ReplacementChar) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) && !unicode.IsSpace(r) }) {
		return "hex:" + hex.EncodeToString(b)
	}
	return strconv.Quote(s)
}

// clip cuts text in the notation to a length for people.
func clip(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + fmt.Sprintf("... (%d bytes)", len(s))
}
