package client

import (
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/e8743928/mqttx/packet"
)

// Options say how to connect. The zero value is an anonymous 5.0 client with an
// identifier of the server's choice that resumes a session if there is one. Dial and
// New copy what they need: Options may be changed and used again afterwards, even at
// the same time, but Password, Will and User must stay as they are until then.
type Options struct {
	// CONNECT.

	Version     packet.Version // default 5.0
	ClientID    string         // empty: the server assigns one, see Connack
	CleanStart  bool           // Clean Session in 3.1.1
	KeepAlive   time.Duration  // rounded up to seconds, at most 65535; 0: none. A Server Keep Alive takes its place
	Username    string         // sent if HasUsername or not empty
	HasUsername bool
	Password    []byte // nil: none
	Will        *packet.Will

	// CONNECT, 5.0 only; ignored otherwise but for MaximumPacketSize.

	SessionExpiry     *uint32               // seconds; nil: absent, which is 0
	ReceiveMaximum    uint16                // QoS 2 messages open at a time; 0: absent, which is 65535
	TopicAliasMaximum uint16                // the server may use that many Topic Aliases; default none
	MaximumPacketSize uint32                // bytes; a larger packet ends the connection in all versions; 0: no limit
	User              []packet.UserProperty // User Properties

	// The connection.

	TLS       *tls.Config   // for tls and wss; nil: the system's authorities. An empty ServerName is the host of the URL
	Timeout   time.Duration // from the start of Dial or New to CONNACK; default 10 s; negative: none
	Origin    string        // the Origin header, for ws and wss; empty: none
	LocalAddr net.Addr      // to connect from; nil: any

	// MaxInFlight is how many QoS 1 and 2 messages of ours are in flight at most; the
	// others wait. In 5.0 the default is the server's Receive Maximum, and more than that
	// never are. In 3.1.1, where servers have such a limit and cannot tell, it is 20.
	MaxInFlight int

	// Memory for a connection.

	ReadBuffer  int // bytes; default 4096. It grows for larger packets
	WriteBuffer int // bytes that may wait while a write is under way, default 16384; beyond them publishers wait

	// OnMessage is called for each message, on the reader goroutine, one at a time and
	// in the order of the server. The packet and what it points to are valid until it
	// returns. Topic is always set, also when the server sent an alias for it.
	//
	// When it returns, the client acknowledges QoS 1 and 2 by itself. A QoS 2 message
	// is not delivered a second time in this connection [MQTT-4.3.3-10]. With nil,
	// messages are acknowledged and dropped.
	OnMessage func(*packet.Publish)
}

const (
	defaultTimeout     = 10 * time.Second
	defaultReadBuffer  = 4096
	defaultWriteBuffer = 16384
	minReadBuffer      = 64
	defaultMaxInFlight = 20 // before 5.0
)

// withDefaults fills in the defaults.
func (o Options) withDefaults() Options {
	if o.Version == 0 {
		o.Version = packet.V5
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.ReadBuffer <= 0 {
		o.ReadBuffer = defaultReadBuffer
	}
	o.ReadBuffer = max(o.ReadBuffer, minReadBuffer)
	if o.WriteBuffer <= 0 {
		o.WriteBuffer = defaultWriteBuffer
	}
	return o
}

// connect is the CONNECT packet, encoded.
func (o *Options) connect() ([]byte, error) {
	switch o.Version {
	case packet.V31, packet.V311, packet.V5:
	default:
		return nil, fmt.Errorf("protocol %v is not supported", o.Version)
	}
	keepAlive := (o.KeepAlive + time.Second - 1) / time.Second
	if o.KeepAlive < 0 || keepAlive > math.MaxUint16 {
		return nil, fmt.Errorf("the Keep Alive of %v is not within 0 and 65535 s", o.KeepAlive)
	}
	p := packet.Connect{
		Version:               o.Version,
		CleanStart:            o.CleanStart,
		KeepAlive:             uint16(keepAlive),
		ClientID:              o.ClientID,
		Username:              o.Username,
		HasUsername:           o.HasUsername,
		Password:              o.Password,
		Will:                  o.Will,
		SessionExpiryInterval: o.SessionExpiry,
		ReceiveMaximum:        o.ReceiveMaximum,
		MaximumPacketSize:     o.MaximumPacketSize,
		TopicAliasMaximum:     o.TopicAliasMaximum,
		User:                  o.User,
	}
	return p.Append(nil, o.Version)
}

// places is how many messages may be in flight.
func (o *Options) places(ack *packet.Connack) int {
	n := math.MaxUint16
	if ack.ReceiveMaximum != 0 {
		n = int(ack.ReceiveMaximum)
	}
	switch {
	case o.MaxInFlight > 0:
		return min(n, o.MaxInFlight)
	case o.Version < packet.V5:
		return defaultMaxInFlight
	}
	return n
}

// agreed is the Keep Alive that counts after CONNACK [MQTT-3.2.2-21].
func (o *Options) agreed(ack *packet.Connack) time.Duration {
	if ack.ServerKeepAlive != nil {
		return time.Duration(*ack.ServerKeepAlive) * time.Second
	}
	return (o.KeepAlive + time.Second - 1) / time.Second * time.Second
}
