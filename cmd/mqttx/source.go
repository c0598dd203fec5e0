package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/e8743928/mqttx/packet"
)

// source is where the payloads of pub come from.
type source struct {
	text, file  string
	lines, null bool
	repeat      int
	interval    time.Duration

	hasText bool
}

// payload is one message, or what ended the reading of them.
type payload struct {
	data []byte
	err  error
}

func (s *source) add(fs *pflag.FlagSet) {
	fs.StringVarP(&s.text, "message", "m", "", "the `PAYLOAD`")
	fs.StringVarP(&s.file, "file", "f", "", "the content of `FILE` is the payload")
	fs.BoolVarP(&s.lines, "lines", "l", false, "each line of standard input is the payload of a message")
	fs.BoolVarP(&s.null, "null", "n", false, "empty payload")
	fs.IntVar(&s.repeat, "repeat", 1, "publish the message that many `TIMES`")
	fs.DurationVar(&s.interval, "interval", 0, "`TIME` between two messages, such as 500ms")
}

func (s *source) check(fs *pflag.FlagSet) error {
	s.hasText = fs.Changed("message")
	if err := onlyOne(fs, "message", "file", "lines", "null"); err != nil {
		return err
	}
	if err := onlyOne(fs, "lines", "repeat"); err != nil {
		return err
	}
	if s.repeat < 1 || s.interval < 0 {
		return usagef("--repeat is at least 1, --interval at least 0")
	}
	return nil
}

// open gives the payloads one by one, and closes the channel behind the last. When ctx
// ends it may go on waiting for stdin.
func (s *source) open(ctx context.Context, stdin io.Reader) (<-chan payload, error) {
	if s.lines {
		return s.pace(ctx, readLines(stdin)), nil
	}
	data, err := s.whole(stdin)
	if err != nil {
		return nil, err
	}
	return s.pace(ctx, func(yield func(payload) bool) {
		for range s.repeat {
			if !yield(payload{data: data}) {
				return
			}
		}
	}), nil
}

// whole is the one payload when there is only one.
func (s *source) whole(stdin io.Reader) ([]byte, error) {
	switch {
	case s.hasText:
		return []byte(s.text), nil
	case s.null:
		return nil, nil
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readWhole(f, s.file)
	}
	if f, ok := stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return nil, usagef("nothing to publish: give --message, --file, --lines or --null, or pipe something in")
	}
	return readWhole(stdin, "standard input")
}

func readWhole(r io.Reader, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, packet.MaxRemainingLength+1))
	if err != nil {
		return nil, err
	}
	if len(data) > packet.MaxRemainingLength {
		return nil, fmt.Errorf("%s is too large for a message", name)
	}
	return data, nil
}

// readLines yields the lines of r without their ends.
func readLines(r io.Reader) func(yield func(payload) bool) {
	return func(yield func(payload) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for {
			line, err := readLine(in)
			if err == nil || err == io.EOF && len(line) > 0 {
				if !yield(payload{data: line}) {
					return
				}
			} else if err != io.EOF {
				yield(payload{err: fmt.Errorf("standard input: %w", err)})
			}
			if err != nil {
				return
			}
		}
	}
}

// readLine reads one line, which is a message and so no longer than one can be.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte{'\n'}), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > packet.MaxRemainingLength:
			return nil, errors.New("a line is too long for a message")
		}
	}
}

// pace hands over what each yields, with the interval in between, until ctx ends.
func (s *source) pace(ctx context.Context, each func(yield func(payload) bool)) <-chan payload {
	out := make(chan payload)
	go func() {
		defer close(out)
		first := true
		each(func(p payload) bool {
			if !first && s.interval > 0 && !wait(ctx, s.interval) {
				return false
			}
			first = false
			select {
			case out <- p:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	return out
}

// wait waits for d; false: ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
