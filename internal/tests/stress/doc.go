// Package stress has no code: its tests run many clients at once, with connections that break at random, and count what
// arrives.
package stress
