package topic_test

import (
	"fmt"
	"slices"

	"github.com/e8743928/mqttx/topic"
)

// A Router alone: a reference of any comparable type, options of any type.
func ExampleRouter() {
	type client struct{ name string }
	type options struct{ QoS byte }
	c := &client{"c"}

	var router topic.Router[*client, options]
	router.Subscribe("sensors/+/temp", c, options{QoS: 1})
	router.Subscribe("alerts/#", c, options{QoS: 0})

	for ref, o := range router.Match("sensors/room1/temp") {
		fmt.Println(ref.name, "QoS", o.QoS)
	}
	// Output: c QoS 1
}

// A group takes turns: MatchAndAdvance deals, Match only looks.
func ExampleRouter_MatchAndAdvance() {
	var router topic.Router[string, int]
	router.Subscribe("$share/workers/jobs/#", "worker1", 1)
	router.Subscribe("$share/workers/jobs/#", "worker2", 1)

	for range 4 {
		for worker := range router.MatchAndAdvance("jobs/process") {
			fmt.Println("deal to", worker)
		}
	}
	for range 2 {
		for worker := range router.Match("jobs/process") {
			fmt.Println("next is", worker)
		}
	}
	// Output:
	// deal to worker1
	// deal to worker2
	// deal to worker1
	// deal to worker2
	// next is worker1
	// next is worker1
}

// Members whose client is not connected have no turn.
func ExampleRouter_awake() {
	connected := map[string]bool{"worker2": true}
	router := topic.Router[string, int]{Awake: func(worker string) bool { return connected[worker] }}
	router.Subscribe("$share/workers/jobs/#", "worker1", 1)
	router.Subscribe("$share/workers/jobs/#", "worker2", 1)

	for range 2 {
		for worker := range router.MatchAndAdvance("jobs/process") {
			fmt.Println(worker)
		}
	}
	// Output:
	// worker2
	// worker2
}

// Match yields references, so No Local is one if: skip the publisher where its
// subscription asks for it.
func ExampleRouter_Match() {
	type options struct {
		QoS     byte
		NoLocal bool
	}
	var router topic.Router[string, options]
	router.Subscribe("chat/#", "ann", options{NoLocal: true})
	router.Subscribe("chat/#", "bob", options{QoS: 1, NoLocal: true})
	router.Subscribe("chat/room", "eve", options{QoS: 2})

	publisher := "ann"
	var receivers []string
	for ref, o := range router.Match("chat/room") {
		if o.NoLocal && ref == publisher {
			continue
		}
		receivers = append(receivers, fmt.Sprint(ref, " ", o.QoS))
	}
	slices.Sort(receivers)
	fmt.Println(receivers)
	// Output: [bob 1 eve 2]
}

// What Match has yielded may be kept while Generation stays the same.
func ExampleRouter_Generation() {
	var router topic.Router[string, int]
	router.Subscribe("a/b", "c", 0)
	before := router.Generation("a/b")
	router.Subscribe("elsewhere", "d", 0)
	fmt.Println(router.Generation("a/b") == before)
	router.Subscribe("+/b", "d", 0)
	fmt.Println(router.Generation("a/b") == before)
	// Output:
	// true
	// false
}

func ExampleTree() {
	var retained topic.Tree[string]
	retained.Set("room/1/temp", "20")
	retained.Set("room/2/temp", "21")
	retained.Set("room/2/hum", "55")
	retained.Delete("room/1/temp")

	for name, payload := range retained.Match("room/+/temp") {
		fmt.Println(name, payload)
	}
	// Output: room/2/temp 21
}

func ExampleMatch() {
	fmt.Println(topic.Match("sport/#", "sport"), topic.Match("+", "/finance"), topic.Match("#", "$SYS/uptime"))
	// Output: true false false
}

func ExampleShare() {
	group, filter := topic.Share("$share/workers/jobs/#")
	fmt.Println(group, filter)
	// Output: workers jobs/#
}
