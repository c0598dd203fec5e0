package packet

// Disconnect is the last packet of a connection. In 3.1 and 3.1.1 only clients send
// it and it has no fields.
type Disconnect struct {
	Code                  ReasonCode
	SessionExpiryInterval *uint32 // seconds; from clients only; nil: as in CONNECT
	ReasonString          string  // for people to read
	ServerReference       string  // from servers only
	User                  []UserProperty
}

// Type is TypeDisconnect.
func (p *Disconnect) Type() Type { return TypeDisconnect }

// Parse implements [Packet].
func (p *Disconnect) Parse(h Header, body []byte, v Version) error {
	*p = Disconnect{User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeDisconnect, v: v}
	r.check(h, TypeDisconnect)
	if v < V5 || len(r.b) == 0 {
		return r.end()
	}
	p.Code = r.code()
	if len(r.b) == 0 {
		return r.end()
	}
	props := r.open(inDisconnect)
	for props.next(&r) {
		switch props.id {
		case propSessionExpiry:
			p.SessionExpiryInterval = ptr(props.num)
		case propServerReference:
			p.ServerReference = string(props.data)
		case propReasonString:
			p.ReasonString = string(props.data)
		}
	}
	p.User = props.takeUsers(&r, p.User)
	return r.end()
}

// Append implements [Packet].
func (p *Disconnect) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeDisconnect, 0)
	bare := p.SessionExpiryInterval == nil && p.ServerReference == "" && p.ReasonString == "" && len(p.User) == 0
	if v < V5 || bare && p.Code == NormalDisconnection {
		return w.finish()
	}
	w.code(p.Code)
	if !bare {
		at := w.open()
		w.uint32Pointer(propSessionExpiry, p.SessionExpiryInterval)
		w.textProperty(propServerReference, p.ServerReference)
		w.textProperty(propReasonString, p.ReasonString)
		w.users(p.User)
		w.close(at)
	}
	return w.finish()
}
