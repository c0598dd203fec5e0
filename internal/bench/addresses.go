package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"strings"
)

// Addresses are IP addresses to connect from. Each has about 28,000 free ports, so who wants more connections to one
// broker needs more addresses; on Linux all of 127.0.0.0/8 is there without being configured. The zero value is none.
type Addresses struct {
	ranges []addressRange
	total  uint64
}

type addressRange struct {
	first netip.Addr
	count uint64
}

// maxAddresses bounds a range; more make no difference.
const maxAddresses = 1 << 24

// ParseAddresses reads a list of addresses with commas in between: ADDRESS, FIRST-LAST or NETWORK/BITS, of which the
// network's own and the broadcast address of IPv4 are left out.
func ParseAddresses(s string) (Addresses, error) {
	var a Addresses
	for part := range strings.SplitSeq(s, ",") {
		r, err := parseRange(part)
		if err != nil {
			return Addresses{}, err
		}
		a.ranges = append(a.ranges, r)
		a.total += r.count
	}
	return a, nil
}

func parseRange(s string) (addressRange, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return addressRange{}, errors.New("want ADDRESS, FIRST-LAST or NETWORK/BITS")
		}
		p = p.Masked()
		r := addressRange{p.Addr(), 1 << min(p.Addr().BitLen()-p.Bits(), bits.Len(maxAddresses-1))}
		if p.Addr().Is4() && r.count > 2 {
			r.first, r.count = r.first.Next(), r.count-2
		}
		return r, nil
	}
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	first, err1 := netip.ParseAddr(low)
	last, err2 := netip.ParseAddr(high)
	if err1 != nil || err2 != nil {
		return addressRange{}, errors.New("want ADDRESS, FIRST-LAST or NETWORK/BITS")
	}
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return addressRange{}, fmt.Errorf("%s is no range", s)
	}
	n := maxAddresses
	for i, at := uint64(1), first; i < maxAddresses; i, at = i+1, at.Next() {
		if at == last {
			n = int(i)
			break
		}
	}
	return addressRange{first, uint64(n)}, nil
}

// At is the address for the connection i; they are used in turn. nil: any.
func (a Addresses) At(i int) net.Addr {
	if a.total == 0 {
		return nil
	}
	k := uint64(i) % a.total
	for _, r := range a.ranges {
		if k < r.count {
			return &net.TCPAddr{IP: add(r.first, k).AsSlice(), Zone: r.first.Zone()}
		}
		k -= r.count
	}
	return nil
}

// add is the address n behind a; n is small enough not to leave its last eight bytes, or four of IPv4.
func add(a netip.Addr, n uint64) netip.Addr {
	if a.Is4() {
		b := a.As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+uint32(n))
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	binary.BigEndian.PutUint64(b[8:], binary.BigEndian.Uint64(b[8:])+n)
	return netip.AddrFrom16(b)
}
