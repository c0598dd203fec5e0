package packet

// Error is why a packet could not be read or written.
type Error struct {
	Code      ReasonCode // what to close the connection with; 3.1 and 3.1.1 do not send it
	Packet    Type       // the packet
	What      string     // what is wrong, such as "reserved flags"
	Statement string     // the broken statement of the standard, such as "MQTT-3.8.1-1", or ""
}

// Error names the packet, the fault, the Reason Code and the statement.
func (e *Error) Error() string {
	s := "packet: " + e.Packet.String() + ": " + e.What + ": " + e.Code.Error()
	if e.Statement != "" {
		s += " [" + e.Statement + "]"
	}
	return s
}

// Unwrap gives the Code, so that errors.Is(err, MalformedPacket) works.
func (e *Error) Unwrap() error { return e.Code }

// statement picks the id that a rule has in the standard of version v. MQTT 3.1
// has no ids.
func statement(v Version, v5, v311 string) string {
	switch {
	case v >= V5:
		return v5
	case v == V311:
		return v311
	}
	return ""
}
