package main

import (
	"strings"
	"time"
)

// scenario is what all brokers are measured with.
type scenario struct {
	name  string
	title string
	args  string // of mqttx bench
	timed bool   // takes --duration and --warmup
}

// scenarios are in the order of the tables.
var scenarios = [...]scenario{
	{name: "p2p", title: "50 pairs, QoS 0, 64 bytes, window 100", args: "p2p --pairs 50 --window 100", timed: true},
	{name: "p2p-sync", title: "50 pairs, QoS 0, 64 bytes, window 1: nothing can be batched", args: "p2p --pairs 50 --window 1", timed: true},
	{name: "p2p-1k", title: "50 pairs, QoS 0, 1 KiB, window 50", args: "p2p --pairs 50 --payload 1024 --window 50", timed: true},
	{name: "p2p-q1", title: "50 pairs, QoS 1, 64 bytes, window 20", args: "p2p --pairs 50 --qos 1 --window 20", timed: true},
	{name: "p2p-q2", title: "50 pairs, QoS 2, 64 bytes, window 20", args: "p2p --pairs 50 --qos 2 --window 20", timed: true},
	{name: "fan-in", title: "50 publishers to one subscriber, QoS 0, 64 bytes, window 20", args: "fan-in --pubs 50 --subs 1 --window 20", timed: true},
	{name: "fan-in-q1", title: "50 publishers to one subscriber, QoS 1, 64 bytes, window 10", args: "fan-in --pubs 50 --subs 1 --qos 1 --window 10", timed: true},
	{name: "fan-out", title: "1 publisher to 1,000 subscribers, QoS 0, 64 bytes, window 10", args: "fan-out --pubs 1 --subs 1000 --window 10", timed: true},
	{name: "fan-out-q1", title: "1 publisher to 1,000 subscribers, QoS 1, 64 bytes, window 4", args: "fan-out --pubs 1 --subs 1000 --qos 1 --window 4", timed: true},
	{name: "shared", title: "50 publishers to a shared subscription of 10, QoS 0, 64 bytes, window 20", args: "shared --pubs 50 --subs 10 --window 20", timed: true},
	{name: "shared-q1", title: "50 publishers to a shared subscription of 10, QoS 1, 64 bytes, window 10", args: "shared --pubs 50 --subs 10 --qos 1 --window 10", timed: true},
	{name: "latency", title: "10 pairs, 5,000 messages a second in all, QoS 0, 64 bytes", args: "latency --pairs 10 --rate 5000", timed: true},
	{name: "latency-20k", title: "10 pairs, 20,000 messages a second in all, QoS 0, 64 bytes", args: "latency --pairs 10 --rate 20000", timed: true},
	{name: "latency-q1", title: "10 pairs, 5,000 messages a second in all, QoS 1, 64 bytes", args: "latency --pairs 10 --rate 5000 --qos 1", timed: true},
	{name: "retained", title: "20,000 retained messages of 64 bytes to one who subscribes", args: "retained --messages 20000"},
	{name: "conn", title: "5,000 connections, 50 handshakes at a time", args: "conn --clients 5000 --window 50 --duration 1s"},
}

// picked tells whether a list of names, prefix* or all, has a name.
func picked(list, name string) bool {
	for s := range strings.SplitSeq(list, ",") {
		prefix, open := strings.CutSuffix(s, "*")
		if s == "all" || s == name || open && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// line is the command line of mqttx bench.
func (s *scenario) line(duration time.Duration) []string {
	args := append([]string{"bench"}, strings.Fields(s.args)...)
	if s.timed {
		args = append(args, "--duration", duration.String(), "--warmup", (duration / 4).String())
	}
	return append(args, "--json")
}
