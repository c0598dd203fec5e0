// Package poll waits for many sockets at once, for the event loops of the broker. A Poller is a level-triggered epoll set
// whose waiting goroutine parks in the runtime's own poller on the descriptor of the set, so that no thread blocks in a
// system call; reading and writing a socket are system calls without the scheduler's bookkeeping, since none of them
// waits. On systems without epoll there is none, and New says so.
package poll

import "errors"

// ErrUnsupported says that this system has no event loops.
var ErrUnsupported = errors.New("poll: not supported on this system")

// ErrAgain says that the call would have to wait.
var ErrAgain = errors.New("poll: would wait")

// Most is the most that one Read or Write moves, so that the collector never waits long for it.
const Most = 64 << 10

// Event tells what a descriptor is ready for.
type Event struct {
	Token uint64 // as given to Set
	In    bool   // readable, closed, or failed
	Out   bool   // writable
}
