package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collect reads all payloads of src from stdin.
func collect(ctx context.Context, src source, stdin io.Reader) (got []string, err error) {
	payloads, err := src.open(ctx, stdin)
	if err != nil {
		return nil, err
	}
	for p := range payloads {
		if p.err != nil {
			return got, p.err
		}
		got = append(got, string(p.data))
	}
	return got, nil
}

func TestSource_Lines(t *testing.T) {
	long := strings.Repeat("x", 200_000) // more than the reader's buffer
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\n", []string{""}},
		{"a", []string{"a"}},
		{"a\r\n\nb", []string{"a\r", "", "b"}},
		{long + "\n" + long, []string{long, long}},
	} {
		got, err := collect(t.Context(), source{lines: true}, iotest.HalfReader(strings.NewReader(tt.in)))
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("%.20q: %v %s", tt.in, err, cmp.Diff(tt.want, got))
		}
	}
}

func TestSource_BrokenInput(t *testing.T) {
	broken := errors.New("broken")
	in := func() io.Reader { return io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(broken)) }
	got, err := collect(t.Context(), source{lines: true}, in())
	if !errors.Is(err, broken) || !cmp.Equal(got, []string{"one"}) {
		t.Errorf("lines: %q, %v", got, err)
	}
	if got, err := collect(t.Context(), source{repeat: 1}, in()); !errors.Is(err, broken) {
		t.Errorf("whole: %q, %v", got, err)
	}
}

func TestSource_RepeatInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got, err := collect(t.Context(), source{text: "x", hasText: true, repeat: 3, interval: time.Minute}, nil)
		if err != nil || !cmp.Equal(got, []string{"x", "x", "x"}) || time.Since(began) != 2*time.Minute {
			t.Errorf("%q, %v after %v", got, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		got, err = collect(ctx, source{null: true, repeat: 3, interval: time.Minute}, nil)
		if err != nil || !cmp.Equal(got, []string{"", ""}) {
			t.Errorf("ended between: %q, %v", got, err)
		}
	})
}
