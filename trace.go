package mqttx

import "fmt"

// Trace watches what a Server does without deciding. nil functions are not called and cost nothing; none may wait, since
// they are called on the way of the messages, from any goroutine and several at once, and with locks held: they must not call
// methods of Server or Conn but Stats, Client, ClientID, Version and the addresses. A panic in one is logged.
type Trace struct {
	Connected    func(c *Conn)                              // CONNACK with Success is sent
	Refused      func(c Client, why error)                  // a CONNECT was refused, or a socket closed before it
	Disconnected func(c *Conn, why error)                   // a connection that was Connected ended; why is a *DisconnectError
	Published    func(m *Message)                           // a message was accepted and is being routed
	Delivered    func(c Client, m *Message)                 // m was handed to the connection of c (QoS 0), or c has acknowledged it
	Dropped      func(c Client, m *Message, why DropReason) // m does not reach c; c is the publisher if m reaches nobody
}

// DropReason tells why a message did not reach a client.
type DropReason byte

// The reasons for a drop. Every message that was accepted is delivered, queued, expired, or dropped for one of these.
const (
	DropOffline      DropReason = iota + 1 // QoS 0 for a client that is not connected
	DropOutboxFull                         // QoS 0 for a client that does not take what it is sent
	DropQueueFull                          // the session's queue, or that of all sessions, is full
	DropTooLarge                           // larger than the client's Maximum Packet Size
	DropNotAllowed                         // Allow refused
	DropByHandler                          // Deliver returned nil
	DropRate                               // QoS 0 over the message rate
	DropSessionEnded                       // still queued when the session ended
	DropResendTries                        // given up after the last resend (DropAfterTries)
	DropRetainedFull                       // not kept as a retained message: no room
	dropReasons
)

var dropNames = [dropReasons]string{
	DropOffline: "offline", DropOutboxFull: "outbox-full", DropQueueFull: "queue-full", DropTooLarge: "too-large",
	DropNotAllowed: "not-allowed", DropByHandler: "by-handler", DropRate: "rate", DropSessionEnded: "session-ended",
	DropResendTries: "resend-tries", DropRetainedFull: "retained-full",
}

// String gives the reason in one word, as metrics show it.
func (d DropReason) String() string {
	if d > 0 && d < dropReasons {
		return dropNames[d]
	}
	return fmt.Sprintf("DropReason(%d)", byte(d))
}
