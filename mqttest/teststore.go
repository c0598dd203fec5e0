package mqttest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

// TestStore tells whether a Store keeps what [mqttx.Store] promises; whoever writes one calls it from a test:
//
//	func TestStore(t *testing.T) {
//		mqttest.TestStore(t, func(t *testing.T) mqttx.Store { return open(t, t.TempDir()) })
//	}
//
// open is called once for each part, in a subtest of its own, and has to give an empty Store; it closes it by t.Cleanup. For
// Stores that outlive their process there is [TestStoreReopened].
func TestStore(t *testing.T, open func(t *testing.T) mqttx.Store) {
	for _, part := range storeParts {
		t.Run(part.name, func(t *testing.T) { part.f(t, open(t)) })
	}
}

var storeParts = []struct {
	name string
	f    func(t testing.TB, s mqttx.Store)
}{
	{"Empty", storeEmpty},
	{"Set", storeSet},
	{"Delete", storeDelete},
	{"DeleteRange", storeDeleteRange},
	{"OrderInBatch", storeOrder},
	{"ScanOrderAndBounds", storeBounds},
	{"BinaryKeys", storeBinary},
	{"EmptyValues", storeEmptyValues},
	{"SlicesNotKept", storeSlices},
	{"ScanEndsEarly", storeBreak},
	{"ScanBesideCommit", storeBeside},
	{"LargeBatch", storeLarge},
	{"LargeValue", storeLargeValue},
	{"RandomBatches", storeRandom},
	{"Server", storeServer},
}

// TestStoreReopened tells whether a Store, closed and opened again, still has all that was committed. open has to give the
// same Store with each call, at first an empty one. A Store with a Close method is closed before the next call.
func TestStoreReopened(t *testing.T, open func(t *testing.T) mqttx.Store) {
	t.Helper()
	storeReopened(t, func() mqttx.Store { return open(t) })
}

func storeReopened(t testing.TB, open func() mqttx.Store) {
	t.Helper()
	var m model
	for round := range 4 {
		s := open()
		if round == 0 {
			if got, err := scan(s, nil, lastKey); err != nil || len(got) > 0 {
				t.Fatalf("a new Store has %d records, error %v; want none", len(got), err)
			}
		}
		m.check(t, s)
		for i := range 50 {
			m.commit(t, s, randomBatch(uint64(round*50+i)))
		}
		m.check(t, s)
		if c, ok := s.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
	}
}

// lastKey is behind all keys of the suite.
var lastKey = bytes.Repeat([]byte{0xff}, 64)

func set(k, v string) mqttx.Change { return mqttx.Change{Key: []byte(k), Value: []byte(v)} }
func del(k string) mqttx.Change    { return mqttx.Change{Key: []byte(k), Delete: true} }
func delTo(k, to string) mqttx.Change {
	return mqttx.Change{Key: []byte(k), To: []byte(to)}
}

func commit(t testing.TB, s mqttx.Store, changes ...mqttx.Change) {
	t.Helper()
	if err := s.Commit(&mqttx.Batch{Changes: changes}); err != nil {
		t.Fatalf("Commit of %d changes: %v", len(changes), err)
	}
}

// scan gives copies of the records as key=value.
func scan(s mqttx.Store, from, to []byte) (out []string, err error) {
	for r, err := range s.Scan(from, to) {
		if err != nil {
			return out, err
		}
		out = append(out, string(r.Key)+"="+string(r.Value))
	}
	return out, nil
}

// want fails the test unless the records from one key up to another are these, as key=value.
func want(t testing.TB, s mqttx.Store, from, to string, records ...string) {
	t.Helper()
	got, err := scan(s, []byte(from), []byte(to))
	if err != nil {
		t.Fatalf("Scan(%q, %q): %v", from, to, err)
	}
	if !slices.Equal(got, records) {
		t.Fatalf("Scan(%q, %q):\ngot  %s\nwant %s", from, to, list(got), list(records))
	}
}

// list writes records for messages, of long ones the beginning.
func list(records []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records", len(records))
	for _, r := range records[:min(len(records), 20)] {
		fmt.Fprintf(&b, " %q", r[:min(len(r), 50)])
	}
	return b.String()
}

func storeEmpty(t testing.TB, s mqttx.Store) {
	want(t, s, "", string(lastKey))
	commit(t, s)
	want(t, s, "", string(lastKey))
	commit(t, s, del("nothing"), delTo("a", "z"))
	want(t, s, "", string(lastKey))
}

func storeSet(t testing.TB, s mqttx.Store) {
	commit(t, s, set("b", "1"))
	want(t, s, "a", "z", "b=1")
	commit(t, s, set("a", "2"), set("c", "3"))
	want(t, s, "a", "z", "a=2", "b=1", "c=3")
	commit(t, s, set("b", "a longer value than before"))
	want(t, s, "a", "z", "a=2", "b=a longer value than before", "c=3")
}

func storeDelete(t testing.TB, s mqttx.Store) {
	commit(t, s, set("a", "1"), set("ab", "2"), set("b", "3"))
	commit(t, s, del("a"))
	want(t, s, "a", "z", "ab=2", "b=3")
	commit(t, s, del("a"), del("b"))
	want(t, s, "a", "z", "ab=2")
	commit(t, s, set("a", "again"))
	want(t, s, "a", "z", "a=again", "ab=2")
}

func storeDeleteRange(t testing.TB, s mqttx.Store) {
	commit(t, s, set("a", "1"), set("b", "2"), set("b\x00", "3"), set("bb", "4"), set("c", "5"), set("d", "6"))
	commit(t, s, delTo("b", "c"))
	want(t, s, "a", "z", "a=1", "c=5", "d=6")
	commit(t, s, delTo("c", "c")) // from a key up to itself: nothing
	commit(t, s, delTo("d", "a"))
	want(t, s, "a", "z", "a=1", "c=5", "d=6")
	commit(t, s, delTo("aa", "zz")) // ends that are no keys
	want(t, s, "a", "z", "a=1")
	commit(t, s, set("x", "7"), delTo("", "z"))
	want(t, s, "", "z")
}

func storeOrder(t testing.TB, s mqttx.Store) {
	commit(t, s, set("a", "1"), set("a", "2"), del("b"), set("b", "3"), set("c", "4"), del("c"))
	want(t, s, "a", "z", "a=2", "b=3")
	commit(t, s, set("d", "5"), delTo("a", "z"), set("b", "6"), set("e", "7"))
	want(t, s, "a", "z", "b=6", "e=7")
	commit(t, s, delTo("a", "z"), set("b", "8"), set("bb", "9"), delTo("bb", "c"), set("ba", "10"))
	want(t, s, "a", "z", "b=8", "ba=10")
}

func storeBounds(t testing.TB, s mqttx.Store) {
	keys := []string{"A", "a", "a/", "a/b", "aa", "b", "z"}
	var all []string
	for i := range keys {
		k := keys[(i*3)%len(keys)] // not in their order
		commit(t, s, set(k, "v"))
	}
	for _, k := range keys {
		all = append(all, k+"=v")
	}
	want(t, s, "", string(lastKey), all...)
	for i := range keys {
		for j := i; j < len(keys); j++ {
			want(t, s, keys[i], keys[j], all[i:j]...)
			want(t, s, keys[i]+"\x00", keys[j]+"\x00", all[i+1:j+1]...)
		}
	}
	want(t, s, "b", "a")
	want(t, s, "z\x00", string(lastKey))
}

func storeBinary(t testing.TB, s mqttx.Store) {
	keys := []string{"\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "\n", " ", "\"", "\x7f", "\x80", "\xc3\xa4", "\xfe\xff", "\xff", "\xff\x00", "\xff\xff"}
	var all []string
	for _, k := range slices.Backward(keys) {
		commit(t, s, set(k, k+"\x00\n\xff"))
	}
	for _, k := range keys {
		all = append(all, k+"="+k+"\x00\n\xff")
	}
	want(t, s, "", string(lastKey), all...)
	want(t, s, "\x00\x00", "\x01", all[1:4]...)
	want(t, s, "\xff", "\xff\x01", all[12:14]...)
	commit(t, s, delTo("\x00\x01", "\xff"), del("\xff\x00"))
	want(t, s, "", string(lastKey), all[0], all[1], all[12], all[14])
	long := strings.Repeat("\xfe", 32<<10) // a Topic Name may have 65,535 bytes
	commit(t, s, set(long, "long"), set(long+"\x00", "longer"))
	want(t, s, "\xfe", "\xff", long+"=long", long+"\x00=longer")
	commit(t, s, del(long))
	want(t, s, "\xfe", "\xff", long+"\x00=longer")
}

func storeEmptyValues(t testing.TB, s mqttx.Store) {
	commit(t, s, set("a", ""), mqttx.Change{Key: []byte("b")}, set("c", "1"))
	want(t, s, "a", "z", "a=", "b=", "c=1")
	commit(t, s, set("c", ""))
	want(t, s, "a", "z", "a=", "b=", "c=")
	commit(t, s, del("a"))
	want(t, s, "a", "z", "b=", "c=")
}

func storeSlices(t testing.TB, s mqttx.Store) {
	commit(t, s, set("p", "q"), set("q", "r"))
	buf := []byte("keyvalqa")
	b := &mqttx.Batch{Changes: []mqttx.Change{
		{Key: buf[:3], Value: buf[3:6]},
		{Key: buf[6:7], Delete: true},
		{Key: buf[7:8], To: []byte("c")},
	}}
	if err := s.Commit(b); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	for i := range buf { // the Store must have its own copies
		buf[i] = 'z'
	}
	clear(b.Changes)
	want(t, s, "", string(lastKey), "key=val", "p=q")
	from, to := []byte("k"), []byte("l")
	for r, err := range s.Scan(from, to) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		if string(r.Key) != "key" {
			t.Fatalf("Scan gives %q, want key", r.Key)
		}
		from[0], to[0] = 'z', 'z' // the bounds as well
	}
}

func storeBreak(t testing.TB, s mqttx.Store) {
	commit(t, s, set("a", "1"), set("b", "2"), set("c", "3"))
	for range 3 {
		records := s.Scan([]byte("a"), []byte("z"))
		for range 2 { // the same Scan may be looped over again
			n := 0
			for r, err := range records {
				if err != nil {
					t.Fatalf("Scan: %v", err)
				}
				if n++; string(r.Key) == "b" {
					break
				}
			}
			if n != 2 {
				t.Fatalf("b is record %d, want 2", n)
			}
		}
	}
	commit(t, s, set("d", "4"), del("a")) // nothing is locked
	want(t, s, "a", "z", "b=2", "c=3", "d=4")
}

// storeServer has two Servers, one after the other, keep a session and a retained message in the Store.
func storeServer(t testing.TB, s mqttx.Store) {
	forever := uint32(0xFFFFFFFF)
	sub := &packet.Connect{ClientID: "sub", SessionExpiryInterval: &forever}
	first := &mqttx.Server{Handler: mqttx.AllowAnonymous(), Store: s}
	Start(t, first)
	c := Connect(t, first, sub)
	c.Subscribe("t/#", 2)
	c.Drop()
	pub := Connect(t, first, nil)
	for i := range 100 {
		pub.Publish(fmt.Sprintf("t/%d", i), "queued", 1+mqttx.QoS(i%2))
	}
	pub.Send(&packet.Publish{Topic: []byte("kept"), Payload: []byte("retained"), QoS: 1, PacketID: 1000, Retain: true})
	Expect[*packet.Puback](pub)
	pub.Disconnect(mqttx.Success)
	if err := first.Close(); err != nil {
		t.Fatalf("closing the server: %v", err)
	}
	second := &mqttx.Server{Handler: mqttx.AllowAnonymous(), Store: s}
	Start(t, second)
	c = Connect(t, second, sub)
	if !c.Connack.SessionPresent {
		t.Fatalf("the second server on the Store does not know the session")
	}
	for i := range 100 {
		if m := c.Receive(); string(m.Topic) != fmt.Sprintf("t/%d", i) || m.QoS != 1+mqttx.QoS(i%2) {
			t.Fatalf("message %d is %s", i, c.show(m))
		}
	}
	c.Subscribe("kept", 0)
	if m := c.Receive(); string(m.Payload) != "retained" || !m.Retain {
		t.Fatalf("retained message is %s", c.show(m))
	}
	c.Disconnect(mqttx.Success)
	if err := second.EndSession(t.Context(), "sub"); err != nil {
		t.Fatalf("EndSession: %v", err)
	}
}
