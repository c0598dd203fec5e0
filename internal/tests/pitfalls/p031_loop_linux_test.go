package pitfalls_test

import (
	"log/slog"
	"os"
	"syscall"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/internal/testnet"
	"github.com/e8743928/mqttx/mqttest"
)

// An event loop or a listener that finds no descriptor for a connection logs it and takes it when there is one.
func TestPitfall031_TooManyOpenFiles(t *testing.T) {
	for _, on := range []testnet.Transport{testnet.Loop, testnet.UnixLoop, testnet.TCP} {
		t.Run(on.String(), func(t *testing.T) {
			log := &p31Log{Handler: slog.DiscardHandler}
			srv := &mqttx.Server{Logger: slog.New(log)}
			mqttest.Start(t, srv)
			n := on.Start(t, srv)
			n.Connect(nil)
			var limit syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
			low := limit
			low.Cur = 256
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
				t.Fatal(err)
			}
			defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
			var files []*os.File
			for {
				f, err := os.Open(os.DevNull)
				if err != nil {
					break
				}
				defer f.Close()
				files = append(files, f)
			}
			files[0].Close() // for the client's end
			nc, err := n.Open()
			if err != nil {
				t.Fatal(err)
			}
			c := mqttest.NewClient(t, nc, 0)
			p14Settle(t, func() bool { return log.lines.Load() > 0 })
			for _, f := range files {
				f.Close()
			}
			p1Code(t, "CONNACK", c.Connect(p1New("late", mqttx.V5)), mqttx.Success)
			c.Nothing()
			n.Connect(nil).Nothing()
		})
	}
}
