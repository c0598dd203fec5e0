package wheel

import "math/bits"

const (
	levelBits     = 6
	slotsPerLevel = 1 << levelBits
	levels        = 8 // 48 bits of ticks; maxTick has 44
	noSlot        = -1
)

// link puts t into the slot for due. The level is that of the highest six bits
// in which due and now differ, so the slots of one level that are in use come
// later the higher their index, and all slots of a level come before those of
// the next level: the earliest slot is the first one in use on the lowest level
// in use. What is due already goes into the slot of now itself or, while that
// is being emptied, into the next: an F that sets its timer to the past again
// and again would keep it from ever being empty.
func (w *Wheel) link(t *Timer, due int64) {
	if w.running {
		due = max(due, w.now+1)
	} else {
		due = max(due, w.now)
	}
	level := (bits.Len64(uint64(due^w.now)|1) - 1) / levelBits
	index := int(due>>(level*levelBits)) & (slotsPerLevel - 1)
	slot := level*slotsPerLevel + index
	t.slot = uint16(slot)

	first := w.slots[slot]
	if first == nil {
		t.next, t.prev = t, t
		w.slots[slot] = t
		w.occupied[level] |= 1 << index
		return
	}
	t.next, t.prev = first, first.prev
	t.prev.next, first.prev = t, t
}

// unlink takes t out of its slot.
func (w *Wheel) unlink(t *Timer) {
	slot := int(t.slot)
	switch {
	case t.next == t:
		w.slots[slot] = nil
		w.occupied[slot/slotsPerLevel] &^= 1 << (slot % slotsPerLevel)
	case w.slots[slot] == t:
		w.slots[slot] = t.next
		fallthrough
	default:
		t.prev.next, t.next.prev = t.next, t.prev
	}
	t.next, t.prev = nil, nil
}

// earliest returns the slot to be emptied next and the tick it begins at, or
// noSlot and never.
func (w *Wheel) earliest() (slot int, begin int64) {
	if w.open != noSlot && w.slots[w.open] != nil {
		return w.open, w.now
	}
	for level, used := range w.occupied {
		if used == 0 {
			continue
		}
		index := bits.TrailingZeros64(used)
		shift := level * levelBits
		round := w.now >> (shift + levelBits) << (shift + levelBits)
		return level*slotsPerLevel + index, round | int64(index)<<shift
	}
	return noSlot, never
}

// advance opens the earliest slot that begins by the tick until. If there is
// none, it takes now to until and returns false. An open slot gains no timer:
// what is due later than now differs from it in a slot's index.
func (w *Wheel) advance(until int64) bool {
	slot, begin := w.earliest()
	if begin > until {
		w.open, w.now = noSlot, max(w.now, until)
		return false
	}
	w.open, w.now = slot, begin
	return true
}

// step takes the first timer out of the open slot. It returns the timer's F if
// the timer is due, which is then no longer set; otherwise it links the timer
// again, nearer to its deadline, and returns nil.
func (w *Wheel) step() func() {
	t := w.slots[w.open]
	w.unlink(t)
	for due := t.due.Load(); due <= w.now; due = t.due.Load() {
		if t.due.CompareAndSwap(due, 0) { // else it has just been put off
			w.count--
			return t.F
		}
	}
	w.link(t, t.due.Load())
	return nil
}
