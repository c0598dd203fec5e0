package bench

import "github.com/e8743928/mqttx/packet"

// Result is what a run has measured. The names of its JSON do not change.
type Result struct {
	Scenario    Scenario   `json:"scenario"`
	URL         string     `json:"url"`
	Version     string     `json:"version"`
	QoS         packet.QoS `json:"qos"`
	Payload     int        `json:"payload_bytes"`
	Publishers  int        `json:"publishers"`
	Subscribers int        `json:"subscribers"`
	Rate        int        `json:"rate,omitempty"`   // open loop
	Window      int        `json:"window,omitempty"` // closed loop

	ConnectSeconds float64      `json:"connect_seconds"` // from the first connection to the last, subscribing included
	Seconds        float64      `json:"seconds"`         // measured
	Published      uint64       `json:"published"`       // in that time; in Conn the connections
	Delivered      uint64       `json:"delivered"`
	PublishPerSec  float64      `json:"published_per_second"`
	DeliverPerSec  float64      `json:"delivered_per_second"`
	StoreSeconds   float64      `json:"store_seconds,omitempty"`         // Retained: until the broker has all
	FirstMillis    float64      `json:"first_message_ms,omitempty"`      // Retained: from SUBSCRIBE to the first message
	Unsent         uint64       `json:"unsent,omitempty"`                // open loop: due, but not sent within the time
	GeneratorCPU   float64      `json:"generator_cpu_percent,omitempty"` // of one core; near 100 for one core it is the generator that was measured
	BytesPerConn   float64      `json:"bytes_per_connection,omitempty"`  // Conn: growth of the broker's resident memory
	HeldSeconds    float64      `json:"held_seconds,omitempty"`          // Conn
	Latency        *Percentiles `json:"latency,omitempty"`               // from due to received
	SendLag        *Percentiles `json:"send_lag,omitempty"`              // open loop: from due to handed to the client, a part of Latency
	Broker         *Broker      `json:"broker,omitempty"`
	Check          Check        `json:"check"`

	OK      bool   `json:"ok"`
	Failure string `json:"failure,omitempty"` // why not OK
}

// Percentiles are of durations in microseconds.
type Percentiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	P9999 float64 `json:"p9999_us"`
	Max   float64 `json:"max_us"`
}

// Broker is what the system says of the broker's process in the measured time.
type Broker struct {
	PID         int     `json:"pid"`
	UserPerOp   float64 `json:"cpu_user_us_per_message"` // for each delivered message; in Pub published; in Conn connection
	SystemPerOp float64 `json:"cpu_system_us_per_message"`
	CPUPerOp    float64 `json:"cpu_us_per_message"`
	CPUPercent  float64 `json:"cpu_percent"`      // of one core
	RSSBefore   int64   `json:"rss_before_bytes"` // before the first connection
	RSS         int64   `json:"rss_bytes"`        // at the end of the measured time
	RSSPeak     int64   `json:"rss_peak_bytes"`   // since the process began
	Threads     int     `json:"threads"`
}

// Check is what became of all messages of a run, warm-up included.
type Check struct {
	Sent        uint64 `json:"sent"`
	Expected    uint64 `json:"expected"` // deliveries
	Received    uint64 `json:"received"` // without duplicates
	Lost        uint64 `json:"lost"`
	Duplicates  uint64 `json:"duplicates"` // which QoS 1 allows
	OutOfOrder  uint64 `json:"out_of_order"`
	Damaged     uint64 `json:"damaged"`     // with another payload, topic, QoS or RETAIN than sent
	Foreign     uint64 `json:"foreign"`     // not of this run
	Unconfirmed uint64 `json:"unconfirmed"` // QoS 1 and 2: never acknowledged
	Disconnects int    `json:"disconnects"` // connections that ended by themselves
}
