package client

import (
	"errors"
	"fmt"
	"net"

	"github.com/e8743928/mqttx/packet"
)

// What ends a connection or a call, for errors.Is.
var (
	// ErrClosed is the end by Close, Disconnect or Shutdown. It is net.ErrClosed too.
	ErrClosed = fmt.Errorf("client closed: %w", net.ErrClosed)

	// ErrServerClosed is the end of the stream from the server, without a
	// DISCONNECT. Whether the server closed or its process died looks the same.
	ErrServerClosed = errors.New("server closed the connection")

	// ErrKeepAlive is the silence of a server that has not answered PINGREQ for three
	// quarters of the Keep Alive.
	ErrKeepAlive = errors.New("server does not answer PINGREQ")

	// ErrBusy is from TryPublish: as many messages are in flight as may be, or at QoS 0
	// the buffer is full.
	ErrBusy = errors.New("no room for another message in flight")

	// ErrPacketIDs tells that all 65535 Packet Identifiers are in use.
	ErrPacketIDs = errors.New("all 65535 Packet Identifiers are in use")
)

// ConnackError is the refusal of a connection by CONNACK.
type ConnackError struct {
	Code            packet.ReasonCode // for 3.1 and 3.1.1 the Reason Code that has the meaning of ReturnCode
	ReturnCode      byte              // of 3.1 and 3.1.1, 1 to 5; 0 in 5.0
	ReasonString    string            // 5.0 only; may be empty
	ServerReference string            // 5.0 only; may be empty
}

// Error names the code and gives the server's words.
func (e *ConnackError) Error() string {
	s := "refused by the server: "
	if e.ReturnCode != 0 {
		s += fmt.Sprintf("%s (return code %d)", e.Code.String(), e.ReturnCode)
	} else {
		s += e.Code.Error()
	}
	return s + remarks(e.ReasonString, e.ServerReference)
}

// Unwrap gives the Code, so that errors.Is(err, packet.NotAuthorized) works.
func (e *ConnackError) Unwrap() error { return e.Code }

// DisconnectError is the end of a connection by the server's DISCONNECT, which there
// is in 5.0 only.
type DisconnectError struct {
	Code            packet.ReasonCode
	ReasonString    string // may be empty
	ServerReference string // may be empty
}

// Error names the code and gives the server's words.
func (e *DisconnectError) Error() string {
	s := e.Code.Error()
	if e.Code == packet.NormalDisconnection {
		s = "Normal disconnection (0x00)"
	}
	return "disconnected by the server: " + s + remarks(e.ReasonString, e.ServerReference)
}

// Unwrap gives the Code, so that errors.Is(err, packet.SessionTakenOver) works.
func (e *DisconnectError) Unwrap() error { return e.Code }

// remarks is what a server adds to its code. The strings are quoted: they are the
// server's and may hold anything.
func remarks(reason, reference string) (s string) {
	if reason != "" {
		s = fmt.Sprintf(": %q", reason)
	}
	if reference != "" {
		s += fmt.Sprintf(", see server %q", reference)
	}
	return s
}

// returnCodes are the Return Codes of 3.1 and 3.1.1 as Reason Codes.
var returnCodes = [...]packet.ReasonCode{
	0: packet.Success,
	1: packet.UnsupportedProtocolVersion,
	2: packet.ClientIdentifierNotValid,
	3: packet.ServerUnavailable,
	4: packet.BadUserNameOrPassword,
	5: packet.NotAuthorized,
}

// refusal is the error in a CONNACK, nil for none.
func refusal(p *packet.Connack, v packet.Version) error {
	switch {
	case p.Code == packet.Success:
		return nil
	case v >= packet.V5:
		return &ConnackError{Code: p.Code, ReasonString: p.ReasonString, ServerReference: p.ServerReference}
	}
	return &ConnackError{Code: returnCodes[p.Code], ReturnCode: byte(p.Code)}
}

// protocolError is a fault of the server in a packet of type t.
func protocolError(t packet.Type, what, statement string) error {
	return &packet.Error{Code: packet.ProtocolError, Packet: t, What: what, Statement: statement}
}
