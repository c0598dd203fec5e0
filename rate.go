package mqttx

import (
	"sync/atomic"
	"time"
)

// bucket is a token bucket of n tokens that refill evenly over an interval: in a time t never more than n + n*t/interval
// pass, and after an interval of quiet n pass at once (G30). It holds one number, the time at which the bucket will be full
// again, and is changed without a lock (G34). The zero value is a full bucket.
type bucket struct {
	fullAt atomic.Int64 // in ns since 1970; 0: it is full
}

// take takes a token if there is one.
func (k *bucket) take(now time.Time, n int, interval time.Duration) bool {
	if n <= 0 {
		return false
	}
	each := max(int64(interval)/int64(n), 1)
	t := now.UnixNano()
	for {
		was := k.fullAt.Load()
		next := max(was, t) + each
		if next-t > each*int64(n) {
			return false
		}
		if k.fullAt.CompareAndSwap(was, next) {
			return true
		}
	}
}

// next tells when there will be a token.
func (k *bucket) next(now time.Time, n int, interval time.Duration) time.Time {
	each := max(int64(interval)/int64(max(n, 1)), 1)
	wait := max(k.fullAt.Load()+each-each*int64(max(n, 1))-now.UnixNano(), 0)
	return now.Add(time.Duration(wait))
}
