package packet

// Auth is a step of extended authentication, 5.0 only.
type Auth struct {
	Code                 ReasonCode // Success, ContinueAuthentication or ReAuthenticate
	AuthenticationMethod string     // empty only with Success and no other property
	AuthenticationData   []byte     // nil absent; Parse copies it
	ReasonString         string     // for people to read
	User                 []UserProperty
}

// Type is TypeAuth.
func (p *Auth) Type() Type { return TypeAuth }

// Parse implements [Packet]. Without an Authentication Method only Success without
// any property is legal, the form that may have a Remaining Length of 0.
func (p *Auth) Parse(h Header, body []byte, v Version) error {
	*p = Auth{User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeAuth, v: v}
	r.check(h, TypeAuth)
	if len(r.b) == 0 {
		return r.end()
	}
	p.Code = r.code()
	props := r.open(inAuth)
	for props.next(&r) {
		switch props.id {
		case propAuthMethod:
			p.AuthenticationMethod = string(props.data)
		case propAuthData:
			p.AuthenticationData = clone(props.data)
		case propReasonString:
			p.ReasonString = string(props.data)
		}
	}
	p.User = props.takeUsers(&r, p.User)
	if p.AuthenticationMethod == "" && (p.Code != Success || props.seen != 0) {
		r.fail(ProtocolError, "no Authentication Method", "")
	}
	return r.end()
}

// Append implements [Packet].
func (p *Auth) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeAuth, 0)
	if v < V5 {
		w.fail(ProtocolError, "packet type unknown in version "+v.String())
	}
	bare := p.AuthenticationMethod == "" && p.AuthenticationData == nil && p.ReasonString == "" && len(p.User) == 0
	if bare && p.Code == Success {
		return w.finish()
	}
	if p.AuthenticationMethod == "" {
		w.fail(ProtocolError, "no Authentication Method")
	}
	w.code(p.Code)
	at := w.open()
	w.auth(p.AuthenticationMethod, p.AuthenticationData)
	w.textProperty(propReasonString, p.ReasonString)
	w.users(p.User)
	w.close(at)
	return w.finish()
}
