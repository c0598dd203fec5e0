package client

import "slices"

// gate is the send quota of messages in flight: it lets a number of exchanges be open at a time and the
// others wait, first come, first served. Client.mu guards it.
//
// While anyone waits, free is 0: a place that becomes free goes straight to the one
// who has waited longest.
type gate struct {
	free    int
	waiting []chan struct{} // closed when a place has been given
}

// take takes a place if one is free.
func (g *gate) take() bool {
	if g.free == 0 {
		return false
	}
	g.free--
	return true
}

// enter gets in line. The channel is closed when the place is there.
func (g *gate) enter() chan struct{} {
	ch := make(chan struct{})
	g.waiting = append(g.waiting, ch)
	return ch
}

// leave takes ch out of the line, or gives back the place that came just then.
func (g *gate) leave(ch chan struct{}) {
	if i := slices.Index(g.waiting, ch); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
		return
	}
	g.give()
}

// give gives a place back.
func (g *gate) give() {
	if len(g.waiting) == 0 {
		g.free++
		return
	}
	close(g.waiting[0])
	g.waiting[0] = nil
	g.waiting = g.waiting[1:]
}
