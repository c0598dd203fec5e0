package mqttx

import (
	"net"
	"sync/atomic"
	"time"
)

// bucket is a token bucket of n tokens that refill evenly over an interval: in a time t never more than n + n*t/interval
// pass, and after an interval of quiet n pass at once (G30). It holds one number, the time at which the bucket will be full
// again, and is changed without a lock (G34). The zero value is a full bucket.
type bucket struct {
	fullAt atomic.Int64 // in ns since 1970; 0: it is full
}

// price is how long k of n tokens take to come back.
func price(k, n int, interval time.Duration) int64 {
	if k == 1 {
		return max(int64(interval)/int64(n), 1)
	}
	return int64(float64(k) / float64(n) * float64(interval))
}

// take takes a token if there is one.
func (k *bucket) take(now time.Time, n int, interval time.Duration) bool {
	return n > 0 && k.takeAll(now, price(1, n, interval), price(1, n, interval)*int64(n))
}

// takeBytes takes size tokens. What is larger than the whole bucket passes when it is full.
func (k *bucket) takeBytes(now time.Time, size, n int, interval time.Duration) bool {
	cost := price(size, n, interval)
	return k.takeAll(now, cost, max(int64(interval), cost))
}

// takeAll takes tokens that are worth cost, of a bucket that is worth whole.
func (k *bucket) takeAll(now time.Time, cost, whole int64) bool {
	t := now.UnixNano()
	for {
		was := k.fullAt.Load()
		next := max(was, t) + cost
		if next-t > whole {
			return false
		}
		if k.fullAt.CompareAndSwap(was, next) {
			return true
		}
	}
}

// giveBack returns a token.
func (k *bucket) giveBack(n int, interval time.Duration) { k.fullAt.Add(-price(1, n, interval)) }

// next tells when tokens that are worth cost will be there.
func (k *bucket) next(now time.Time, cost, whole int64) time.Time {
	return now.Add(time.Duration(max(k.fullAt.Load()+cost-whole-now.UnixNano(), 0)))
}

// rates are the buckets of one session.
type rates struct{ messages, bytes bucket }

// take takes what a PUBLISH of that size needs of both.
func (r *rates) take(now time.Time, size int, lim *Limits) bool {
	if lim.MessageRate != none && !r.messages.take(now, lim.MessageRate, lim.RateInterval) {
		return false
	}
	if lim.ByteRate != none && !r.bytes.takeBytes(now, size, lim.ByteRate, lim.RateInterval) {
		if lim.MessageRate != none {
			r.messages.giveBack(lim.MessageRate, lim.RateInterval)
		}
		return false
	}
	return true
}

// next tells when a PUBLISH of that size will pass.
func (r *rates) next(now time.Time, size int, lim *Limits) time.Time {
	at := now
	if n := lim.MessageRate; n != none {
		each := price(1, n, lim.RateInterval)
		at = r.messages.next(now, each, each*int64(n))
	}
	if n := lim.ByteRate; n != none {
		cost := price(size, n, lim.RateInterval)
		if t := r.bytes.next(now, cost, max(int64(lim.RateInterval), cost)); t.After(at) {
			at = t
		}
	}
	return at
}

// LimitListener gives a listener a connection rate of its own, beside Limits.ConnectRate of the whole Server: of new
// connections at most n pass in an interval, by the same rule; what comes beyond is closed at once. The interval must be
// positive.
func LimitListener(l net.Listener, n int, interval time.Duration) net.Listener {
	return &limitListener{Listener: l, n: n, interval: interval}
}

type limitListener struct {
	net.Listener
	rate     bucket
	n        int
	interval time.Duration
}

// Accept waits for a connection that the rate allows.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.admits() {
			return c, err
		}
		c.Close()
	}
}

func (l *limitListener) admits() bool { return l.rate.take(time.Now(), l.n, l.interval) }
