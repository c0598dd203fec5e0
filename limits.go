package mqttx

import (
	"fmt"
	"math"
	"time"
)

// Limits bound what clients may do and what the server spends on them. A zero field means its default, a negative one
// none. [Server.SetLimits] changes them while serving.
type Limits struct {
	Connections      int // connections at a time, over all listeners; default none
	ConnectRate      int // new connections in a RateInterval, over all listeners; default none (G28)
	MessageRate      int // PUBLISH packets of one client in a RateInterval; default none (G29)
	ByteRate         int // bytes of PUBLISH packets, topic and payload, of one client in a RateInterval; default none
	Sessions         int // sessions, connected or not; default 2,000,000
	Subscriptions    int // Topic Filters of one session; default 1,000,000
	QueuedMessages   int // messages waiting for one session; default 100,000
	QueuedBytes      int // their bytes, with those under way to its client; default 64 MiB
	TotalQueuedBytes int // bytes waiting for all sessions together; default 2 GiB less one
	Retained         int // retained messages; default 1,000,000
	RetainedBytes    int // their bytes; default 1 GiB

	ConnectSize       int // bytes of a CONNECT, or an AUTH before CONNACK; default 512 KiB; all unfinished ones together: 64 MiB
	PacketSize        int // bytes of any other packet from a client; default 1 MiB, told in CONNACK; at most 268,435,460
	TopicAliasMaximum int // Topic Aliases of one client; default 100, negative: 65,535 (G58)
	ReceiveMaximum    int // QoS 1 and 2 messages that one client may have under way to the server; default 65,535 (G63)
	Inflight          int // those under way to a client of 3.1 or 3.1.1, which cannot tell its Receive Maximum; default 1,000
	ResendTries       int // timed resends of a packet to such a client; default 3 (G73)

	RateInterval   time.Duration // of the three rates; default 1 s, negative: 1 s (G30)
	ConnectTimeout time.Duration // from accept to a whole CONNECT, handshakes included; default 10 s (N3)
	Idle           time.Duration // silence after which a client with Keep Alive 0 is closed; default none (G41)
	SessionExpiry  time.Duration // the longest Session Expiry Interval, for 3.1 and 3.1.1 too; default none (G49, G51)
	ResendInterval time.Duration // between timed resends to 3.1 and 3.1.1 clients; default 5 s (G70)

	ConnectRateReply   bool // over ConnectRate, read CONNECT and answer ConnectionRateExceeded instead of closing at once (G33)
	DisconnectWhenFull bool // a connected client whose queue is full is disconnected with QuotaExceeded
}

const (
	none            = math.MaxInt
	forever         = time.Duration(math.MaxInt64)
	maxPacket       = 268_435_455 + 5 // the largest packet that a Remaining Length can tell
	connectsInTotal = 64 << 20        // bytes of unfinished CONNECTs
)

// resolve gives the limits in force: defaults filled in, none for negative ones.
func (l Limits) resolve() Limits {
	for _, f := range []struct {
		v         *int
		def, none int
	}{
		{&l.Connections, none, none},
		{&l.ConnectRate, none, none},
		{&l.MessageRate, none, none},
		{&l.ByteRate, none, none},
		{&l.Sessions, 2_000_000, none},
		{&l.Subscriptions, 1_000_000, none},
		{&l.QueuedMessages, 100_000, none},
		{&l.QueuedBytes, 64 << 20, none},
		{&l.TotalQueuedBytes, math.MaxInt32, none},
		{&l.Retained, 1_000_000, none},
		{&l.RetainedBytes, 1 << 30, none},
		{&l.ConnectSize, 512 << 10, connectsInTotal},
		{&l.PacketSize, 1 << 20, maxPacket},
		{&l.TopicAliasMaximum, 100, math.MaxUint16},
		{&l.ReceiveMaximum, math.MaxUint16, math.MaxUint16},
		{&l.Inflight, 1000, math.MaxUint16},
		{&l.ResendTries, 3, none},
	} {
		switch {
		case *f.v == 0:
			*f.v = f.def
		case *f.v < 0:
			*f.v = f.none
		}
	}
	for _, f := range []struct {
		v         *time.Duration
		def, none time.Duration
	}{
		{&l.RateInterval, time.Second, time.Second},
		{&l.ConnectTimeout, 10 * time.Second, forever},
		{&l.Idle, forever, forever},
		{&l.SessionExpiry, forever, forever},
		{&l.ResendInterval, 5 * time.Second, forever},
	} {
		switch {
		case *f.v == 0:
			*f.v = f.def
		case *f.v < 0:
			*f.v = f.none
		}
	}
	return l
}

// check refuses numbers that the protocol cannot express.
func (l Limits) check() error {
	for _, f := range []struct {
		name   string
		v, max int
	}{
		{"TopicAliasMaximum", l.TopicAliasMaximum, math.MaxUint16},
		{"ReceiveMaximum", l.ReceiveMaximum, math.MaxUint16},
		{"Inflight", l.Inflight, math.MaxUint16},
		{"PacketSize", l.PacketSize, maxPacket},
		{"ConnectSize", l.ConnectSize, maxPacket},
	} {
		if f.v > f.max {
			return fmt.Errorf("mqttx: Limits.%s is %d, at most %d is possible", f.name, f.v, f.max)
		}
	}
	return nil
}
