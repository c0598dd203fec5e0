package mqttest

import (
	"testing/synctest"
	"time"
)

// Advance lets d of virtual time pass in a bubble of testing/synctest, and returns when everything that was due has been
// done and nothing moves any more. Outside a bubble it panics: tests do not sleep.
func Advance(d time.Duration) {
	synctest.Wait()
	time.Sleep(d)
	synctest.Wait()
}
