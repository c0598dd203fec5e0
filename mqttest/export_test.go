package mqttest

import (
	"testing"
	"time"

	"github.com/e8743928/mqttx"
)

// StoreReopened is TestStoreReopened for a test that is to fail.
func StoreReopened(t testing.TB, open func() mqttx.Store) { storeReopened(t, open) }

// AllStoreParts runs the suite in t instead of subtests; after a failure the parts that are left do not run.
func AllStoreParts(t testing.TB, open func() mqttx.Store) {
	for _, part := range storeParts {
		part.f(t, open())
	}
}

// RunText runs a script in the bubble of the caller.
func RunText(t testing.TB, name, text string, newServer func(t testing.TB) *mqttx.Server) {
	ds, err := readScript(name, text)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, d := range ds {
		d.run(t, newServer)
	}
}

// ReadFormat reads what Format has written.
var ReadFormat = func(s string) (*line, error) {
	ws, err := words(s)
	if err != nil {
		return nil, err
	}
	return readLine(ws, nil, false)
}

// ClosedIn is Closed with another limit.
func (c *Client) ClosedIn(limit time.Duration) { c.closedIn(limit) }
