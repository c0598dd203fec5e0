package mqttx

import (
	"reflect"
	"testing"
	"time"
)

// FuzzRecords reads records of a Store that hold anything: they are refused or make sense, and nothing panics.
func FuzzRecords(f *testing.F) {
	b := (&Server{}).open()
	s := b.newSession("c", &Client{ID: "c"})
	l := &letter{Message: Message{Topic: "a/b", Payload: []byte("x"), QoS: 2, Retain: true, Expires: time.Unix(1, 5), From: Client{ID: "c", User: "u"}, Props: &Properties{
		ContentType: "t", CorrelationData: []byte{}, User: []UserProperty{{Name: "a", Value: "b"}}, PayloadFormat: FormatUTF8,
	}}}
	w := newWriter()
	w.message(&l.Message)
	f.Add(byte(0), w.b)
	for i, key := range [][]byte{s.key(kindSession, ""), s.key(kindSub, "a/#"), s.key(kindEntry, seqText(9)), s.key(kindReceived, idText(7))} {
		f.Add(byte(i), key)
	}
	f.Fuzz(func(t *testing.T, kind byte, value []byte) {
		r := newReader(value)
		m := r.message()
		if r.err == nil {
			w := newWriter()
			w.message(&m.Message)
			again := newReader(w.b)
			if n := again.message(); again.err != nil || !reflect.DeepEqual(m, n) {
				t.Fatalf("%+v became %+v: %v", m, n, again.err)
			}
		}
		b := (&Server{}).open()
		b.sessions["c"] = b.newSession("c", &Client{ID: "c"})
		c := b.sessions["c"]
		key := c.key([]byte{kindSession, kindSub, kindEntry, kindReceived}[kind%4], "a/#")
		b.loadRecord(Record{Key: key, Value: value})
		b.loadRecord(Record{Key: append([]byte{ofSession}, value...), Value: value})
	})
}
