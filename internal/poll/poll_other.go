//go:build !linux

package poll

// Poller is not there on this system.
type Poller struct{}

// New gives ErrUnsupported.
func New() (*Poller, error) { return nil, ErrUnsupported }
