package mqttx

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	logBurst = 20  // records with one message in a second; what is beyond is counted
	logText  = 256 // bytes of one value that a client may have written
)

// limitedLog writes records to a logger: text from clients only as values, cut to a length, and no message more often
// than logBurst times a second, so that no client can flood or forge the log (N11).
type limitedLog struct {
	l *slog.Logger

	mu   sync.Mutex
	seen map[string]*logCount
}

// logCount counts the records with one message.
type logCount struct {
	second     int64
	n, skipped int
}

func (g *limitedLog) debug(msg string, args ...any) { g.write(slog.LevelDebug, msg, args) }
func (g *limitedLog) info(msg string, args ...any)  { g.write(slog.LevelInfo, msg, args) }
func (g *limitedLog) warn(msg string, args ...any)  { g.write(slog.LevelWarn, msg, args) }
func (g *limitedLog) error(msg string, args ...any) { g.write(slog.LevelError, msg, args) }

func (g *limitedLog) write(level slog.Level, msg string, args []any) {
	ctx := context.Background()
	if !g.l.Enabled(ctx, level) {
		return
	}
	ok, skipped := g.count(msg)
	if !ok {
		return
	}
	for i := 1; i < len(args); i += 2 {
		switch v := args[i].(type) {
		case string:
			if args[i-1] != "stack" {
				args[i] = cut(v)
			}
		case error:
			args[i] = cut(v.Error())
		}
	}
	if skipped > 0 {
		args = append(args, "skipped", skipped)
	}
	g.l.Log(ctx, level, msg, args...)
}

// count tells whether a record with this message may be written now, and how many were not since the last one.
func (g *limitedLog) count(msg string) (ok bool, skipped int) {
	now := time.Now().Unix()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = make(map[string]*logCount)
	}
	c := g.seen[msg]
	if c == nil {
		c = &logCount{}
		g.seen[msg] = c
	}
	if c.second != now {
		c.second, c.n = now, 0
	}
	if c.n >= logBurst {
		c.skipped++
		return false, 0
	}
	c.n++
	skipped, c.skipped = c.skipped, 0
	return true, skipped
}

// slow says once for each callback that it was slow although its handler is Inline.
func (g *limitedLog) slow(handler, callback string, d time.Duration) {
	key := "slow " + handler + callback
	g.mu.Lock()
	if g.seen == nil {
		g.seen = make(map[string]*logCount)
	}
	_, said := g.seen[key]
	g.seen[key] = &logCount{}
	g.mu.Unlock()
	if !said {
		g.warn("a callback of an Inline handler took long", "handler", handler, "callback", callback, "took", d)
	}
}

// cut shortens text that a client may have written.
func cut(s string) string {
	if len(s) <= logText {
		return s
	}
	n := logText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
