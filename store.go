package mqttx

import "iter"

// Store keeps what must outlive the process. It keeps bytes that it does not understand; what they mean and when they are
// dropped is the server's. Commit is called by one goroutine at a time; Scan may run beside it. A Store must not keep the
// slices that it is given, and is never closed by the server: who opened it closes it, after Shutdown. A test suite for
// Stores is mqttest.TestStore.
type Store interface {
	// Commit makes all changes of b, in order, or none. It returns nil once they are safe: acknowledgements wait for it.
	Commit(b *Batch) error
	// Scan yields the records with from <= key < to in byte order. The slices are valid until the next round.
	Scan(from, to []byte) iter.Seq2[Record, error]
}

// Record is one key with its value.
type Record struct{ Key, Value []byte }

// Batch is what one Commit makes.
type Batch struct{ Changes []Change }

// Change sets Key to Value; or, with Delete, deletes Key; or, with To, deletes all keys from Key up to, but not, To.
type Change struct {
	Key, Value, To []byte
	Delete         bool
}
