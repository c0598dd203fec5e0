package bench

import "slices"

// arrival is what a message is to those that came before it.
type arrival int

const (
	inOrder arrival = iota
	late            // a higher number came before
	twice           // the number came before
)

// stream follows the numbers of one publisher. Its memory grows with the number of runs of missing messages only.
type stream struct {
	next uint64 // above all numbers that have come
	gaps []gap  // numbers below next that have not, ascending
}

// gap is the numbers from from to below to.
type gap struct{ from, to uint64 }

// take notes that a number has come.
func (s *stream) take(n uint64) arrival {
	switch {
	case n == s.next:
		s.next++
		return inOrder
	case n > s.next:
		s.gaps = append(s.gaps, gap{s.next, n})
		s.next = n + 1
		return inOrder
	}
	i, _ := slices.BinarySearchFunc(s.gaps, n, func(g gap, n uint64) int {
		if g.to <= n {
			return -1
		}
		return 1
	})
	if i == len(s.gaps) || n < s.gaps[i].from {
		return twice
	}
	g := s.gaps[i]
	switch before, after := (gap{g.from, n}), (gap{n + 1, g.to}); {
	case before.from < before.to && after.from < after.to:
		s.gaps[i] = before
		s.gaps = slices.Insert(s.gaps, i+1, after)
	case before.from < before.to:
		s.gaps[i] = before
	case after.from < after.to:
		s.gaps[i] = after
	default:
		s.gaps = slices.Delete(s.gaps, i, i+1)
	}
	return late
}

// missing is how many of the numbers below sent have not come.
func (s *stream) missing(sent uint64) uint64 {
	n := uint64(0)
	for _, g := range s.gaps {
		n += g.to - g.from
	}
	if sent > s.next {
		n += sent - s.next
	}
	return n
}
