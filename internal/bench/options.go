package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/e8743928/mqttx/internal/client"
	"github.com/e8743928/mqttx/packet"
)

// Scenario is what is measured.
type Scenario string

// The scenarios.
const (
	Conn     Scenario = "conn"     // connections are opened and held
	Pub      Scenario = "pub"      // publishers without subscribers
	Sub      Scenario = "sub"      // subscribers for publishers of another process
	P2P      Scenario = "p2p"      // pairs of a publisher and a subscriber
	FanIn    Scenario = "fan-in"   // many publishers, and subscribers who each get all
	FanOut   Scenario = "fan-out"  // the same with few publishers and many subscribers
	Shared   Scenario = "shared"   // many publishers, and a shared subscription
	Retained Scenario = "retained" // messages are stored, then delivered to subscribers who come
	Latency  Scenario = "latency"  // pairs in the open loop
)

// MinPayload is the least Options.Payload in bytes: the stamp that the checks need.
const MinPayload = stampSize

// Options say what to do. Fill them by [Defaults] and change what is to be different.
type Options struct {
	Scenario Scenario

	URL    string         // the broker, as client.Dial takes it
	Client client.Options // how to connect; ClientID, CleanStart, OnMessage, LocalAddr, MaxInFlight and the buffers are set by Run
	From   Addresses      // to connect from; none: any
	// Dial connects; nil: client.Dial.
	Dial func(ctx context.Context, url string, o client.Options) (*client.Client, error)

	Publishers  int // in Conn the connections; in P2P and Latency as many as Subscribers
	Subscribers int
	Payload     int // bytes, from MinPayload on
	QoS         packet.QoS
	Prefix      string // topics begin with it and a slash

	Rate     int // open loop: messages a second of all publishers together, in Conn connections a second; 0: closed loop
	Window   int // closed loop: messages under way for each publisher, in Conn handshakes at a time
	Parallel int // handshakes at a time before messages flow

	// Precise has the open loop wake up with the precision of the system's timers, where there are such (Linux), not with
	// that of Go's, a millisecond. Not for virtual time.
	Precise bool

	Warmup   time.Duration // not measured, before Duration
	Duration time.Duration // measured; in Conn how long the connections are held; 0: until Messages
	Messages int           // of all publishers together, measured from the first; in Sub those received; 0: until Duration
	Patience time.Duration // without any progress the run is over and what is missing is lost

	PID      int            // of the broker, to be sampled; 0: none. Linux only
	Progress func(Progress) // called every second, and never by two goroutines at a time; nil: nobody
}

// Progress is how far a run has got.
type Progress struct {
	Elapsed        time.Duration // since Run began
	Connections    int
	Published      uint64
	Delivered      uint64
	PublishPerSec  float64 // of the last second
	DeliverPerSec  float64
	ConnectsPerSec float64
}

// Defaults are the options of a scenario that need a URL only.
func Defaults(s Scenario) Options {
	o := Options{
		Scenario: s, Payload: 64, Prefix: "bench", Window: 100, Parallel: 50,
		Warmup: time.Second, Duration: 10 * time.Second, Patience: 10 * time.Second,
		Publishers: 50, Subscribers: 50, Precise: true,
	}
	switch s {
	case Conn:
		o.Publishers, o.Subscribers, o.Duration, o.Warmup = 1000, 0, 0, 0
	case Pub:
		o.Publishers, o.Subscribers = 10, 0
	case Sub:
		o.Publishers, o.Subscribers, o.Warmup = 0, 1, 0
	case FanIn:
		o.Subscribers, o.Window = 1, 20
	case FanOut:
		o.Publishers, o.Subscribers, o.Window = 1, 100, 10
	case Shared:
		o.Subscribers, o.Window = 10, 20
	case Retained:
		o.Publishers, o.Subscribers, o.Messages, o.Duration, o.Warmup = 1, 1, 10000, 0, 0
	case Latency:
		o.Publishers, o.Subscribers, o.Rate = 10, 10, 5000
	}
	return o
}

// Check tells what is wrong with the options; Run returns the same.
func (o *Options) Check() error {
	pairs := o.Scenario == P2P || o.Scenario == Latency
	switch o.Scenario {
	case Conn, Pub, Sub, P2P, FanIn, FanOut, Shared, Retained, Latency:
	default:
		return fmt.Errorf("no scenario %q", o.Scenario)
	}
	switch {
	case o.Scenario != Sub && o.Publishers < 1, o.needsSubscribers() && o.Subscribers < 1:
		return errors.New("there must be at least one client of each kind")
	case pairs && o.Publishers != o.Subscribers:
		return errors.New("pairs need as many publishers as subscribers")
	case o.Payload < MinPayload || o.Payload > packet.MaxRemainingLength/2:
		return fmt.Errorf("the payload is from %d bytes, which the checks need, to %d", MinPayload, packet.MaxRemainingLength/2)
	case o.QoS > 2:
		return errors.New("QoS is 0, 1 or 2")
	case o.Prefix == "":
		return errors.New("the prefix of topics is empty")
	case o.Rate < 0 || o.Window < 1 || o.Window > maxWindow:
		return fmt.Errorf("the rate is at least 0 and the window from 1 to %d", maxWindow)
	case o.Parallel < 1:
		return errors.New("at least one handshake at a time")
	case o.Warmup < 0 || o.Duration < 0 || o.Messages < 0 || o.Patience <= 0:
		return errors.New("warm-up, duration and number of messages are at least 0, patience is more")
	case o.Scenario == Shared && o.Client.Version != 0 && o.Client.Version < packet.V311:
		return errors.New("shared subscriptions need MQTT 3.1.1 or 5")
	case o.Scenario == Retained && o.Messages == 0:
		return errors.New("the number of retained messages is missing")
	case o.Scenario != Conn && o.Duration == 0 && o.Messages == 0:
		return errors.New("neither a duration nor a number of messages says when to end")
	}
	return nil
}

// maxWindow is the number of Packet Identifiers.
const maxWindow = 65535

func (o *Options) needsSubscribers() bool { return o.Scenario != Conn && o.Scenario != Pub }
