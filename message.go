package mqttx

import (
	"maps"
	"slices"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// Message is an application message. Whoever makes one, or gets it in Publish, may change it until it is handed on, by
// returning or by Publish and Send; after that nobody may, payload included, and everybody may keep it.
type Message struct {
	Topic   string // at least one character, no wildcard
	Payload []byte
	QoS     QoS
	Retain  bool        // keep as the topic's retained message; in messages to a client: it was kept
	Dup     bool        // the publisher had sent it before
	Will    bool        // in Publish: handed in with CONNECT as the will
	Expires time.Time   // Message Expiry Interval as a point in time; zero: never
	From    Client      // who published it; zero: the server
	Props   *Properties // what MQTT 5.0 adds; nil: none
}

// Properties are what an MQTT 5.0 message carries besides; they are forwarded unchanged ([MQTT-3.3.2-4] and its kin, G81).
type Properties struct {
	ContentType     string // empty: none
	ResponseTopic   string // empty: none
	CorrelationData []byte // nil: none
	// PayloadFormat tells whether the publisher said something of the payload's form, and what.
	PayloadFormat PayloadFormat
	User          []UserProperty // in the publisher's order
}

// PayloadFormat is a Payload Format Indicator: absent, bytes of no stated form, or UTF-8 text.
type PayloadFormat = packet.PayloadFormat

// The values of a Payload Format Indicator.
const (
	FormatAbsent = packet.FormatAbsent
	FormatBytes  = packet.FormatBytes
	FormatUTF8   = packet.FormatUTF8
)

// Clone gives a deep copy; n := *m is a shallow one that shares the payload and Props.
func (m *Message) Clone() *Message {
	n := *m
	n.Payload = slices.Clone(m.Payload)
	if m.Props != nil {
		p := *m.Props
		p.CorrelationData = slices.Clone(p.CorrelationData)
		p.User = slices.Clone(p.User)
		n.Props = &p
	}
	return &n
}

// size is what a message counts in the limits of bytes: topic, payload and properties.
func (m *Message) size() int {
	n := len(m.Topic) + len(m.Payload)
	if p := m.Props; p != nil {
		n += len(p.ContentType) + len(p.ResponseTopic) + len(p.CorrelationData)
		for _, u := range p.User {
			n += len(u.Name) + len(u.Value) + 5
		}
	}
	return n
}

// Client is who a session belongs to: a value, kept with the session. Auth and Connect fill it in; from then on rules,
// logs, metrics, Trace and the Store all show the same one.
type Client struct {
	ID    string // the client id in force
	User  string // the verified user name; empty: anonymous
	attrs map[string]string
}

// Attr gives the attribute that Set put there, or "".
func (c Client) Attr(key string) string { return c.attrs[key] }

// Set gives this copy of the Client an attribute; other copies do not change.
func (c *Client) Set(key, value string) {
	m := maps.Clone(c.attrs)
	if m == nil {
		m = make(map[string]string, 1)
	}
	m[key] = value
	c.attrs = m
}

// Subscription is one Topic Filter with its options, as a client asked for it or holds it.
type Subscription struct {
	Filter            string // without $share/group
	Share             string // the group of a shared subscription; empty: none
	QoS               QoS    // Maximum QoS
	NoLocal           bool   // not what the client itself published [MQTT-3.8.3-3]
	RetainAsPublished bool   // keep the publisher's RETAIN flag [MQTT-3.3.1-13]
	RetainHandling    byte   // 0: retained messages at each SUBSCRIBE, 1: only if new, 2: none (G85-G87)
	ID                uint32 // Subscription Identifier; 0: none
	User              []UserProperty
}

// key is the filter as the client wrote it.
func (s *Subscription) key() string {
	if s.Share == "" {
		return s.Filter
	}
	return "$share/" + s.Share + "/" + s.Filter
}
