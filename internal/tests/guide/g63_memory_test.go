package guide_test

import (
	"bufio"
	"io"
	"math"
	"runtime"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// g63Heap gives the bytes of the heap that are in use.
func g63Heap() int64 {
	for range 3 { // pools are emptied by the second
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// No payload is kept with the id of an open QoS 2 message: all 65,535 of them are small.
func TestGuide_G63_Memory(t *testing.T) {
	srv := g38Server(t, &mqttx.Server{})
	near, far := mqttest.Pipe()
	go srv.ServeConn(t.Context(), far)
	defer near.Close()
	b, err := (&packet.Connect{Version: mqttx.V5, ClientID: "c", CleanStart: true}).Append(nil, mqttx.V5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = near.Write(b); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2)
	if _, err = io.ReadFull(near, head); err != nil || head[0] != 0x20 {
		t.Fatalf("CONNACK % x, %v", head, err)
	}
	if _, err = io.ReadFull(near, make([]byte, head[1])); err != nil {
		t.Fatal(err)
	}
	before := g63Heap()
	wrote := make(chan error, 1)
	go func() {
		p := &packet.Publish{Topic: []byte("nobody"), Payload: make([]byte, 1024), QoS: 2}
		out := bufio.NewWriterSize(near, 48<<10)
		var b []byte
		for id := 1; id <= math.MaxUint16; id++ {
			p.PacketID = uint16(id)
			b, _ = p.Append(b[:0], mqttx.V5)
			out.Write(b)
		}
		wrote <- out.Flush()
	}()
	in := bufio.NewReaderSize(near, 48<<10)
	rec := make([]byte, 5) // PUBREC with a code: there is no subscriber
	for id := 1; id <= math.MaxUint16; id++ {
		if _, err := io.ReadFull(in, rec); err != nil {
			t.Fatal(err)
		}
		if rec[0] != 0x50 || rec[1] != 3 || int(rec[2])<<8|int(rec[3]) != id || rec[4] != byte(mqttx.NoMatchingSubscribers) {
			t.Fatalf("answer to id %d: % x", id, rec)
		}
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if grown := g63Heap() - before; grown >= 2<<20 {
		t.Errorf("65,535 open ids take %d bytes, want less than 2 MiB", grown)
	} else {
		t.Logf("65,535 open ids take %d bytes", grown)
	}
	runtime.KeepAlive(srv)
}
