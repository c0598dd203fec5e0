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
	r := begin(h, TypeAuth, body, v)
	if len(r.b) == 0 {
		return r.end()
	}
	p.Code = r.code()
	r.open(inAuth)
	for r.property() {
		switch r.id {
		case propAuthMethod:
			p.AuthenticationMethod = string(r.data)
		case propAuthData:
			p.AuthenticationData = clone(r.data)
		case propReasonString:
			p.ReasonString = string(r.data)
		}
	}
	p.User = r.takeUsers(p.User)
	if p.AuthenticationMethod == "" && (p.Code != Success || r.seen != 0) {
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
