package packet

// Connack answers a Connect.
type Connack struct {
	SessionPresent bool       // not in 3.1
	Code           ReasonCode // in 3.1 and 3.1.1 the Return Code, 0 to 5, as on the wire

	// The properties, 5.0 only. For nil, 0 and "" the property is absent.
	SessionExpiryInterval           *uint32 // seconds; nil: as in CONNECT
	ReceiveMaximum                  uint16  // absent: 65535
	MaximumQoS                      *QoS    // 0 or 1; nil: 2
	RetainAvailable                 *bool   // nil: true
	MaximumPacketSize               uint32  // bytes; absent: no limit
	AssignedClientID                string  // Assigned Client Identifier
	TopicAliasMaximum               *uint16 // nil: 0
	ReasonString                    string  // for people to read
	WildcardSubscriptionAvailable   *bool   // nil: true
	SubscriptionIdentifierAvailable *bool   // nil: true
	SharedSubscriptionAvailable     *bool   // nil: true
	ServerKeepAlive                 *uint16 // seconds; nil: the Keep Alive of CONNECT
	ResponseInformation             string
	ServerReference                 string // with UseAnotherServer or ServerMoved
	AuthenticationMethod            string
	AuthenticationData              []byte // nil absent; Parse copies it
	User                            []UserProperty
}

// maxReturnCode is the greatest Return Code of 3.1 and 3.1.1.
const maxReturnCode = 5

// Type is TypeConnack.
func (p *Connack) Type() Type { return TypeConnack }

// Parse implements [Packet]. In 3.1 the first byte has no meaning.
func (p *Connack) Parse(h Header, body []byte, v Version) error {
	*p = Connack{User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeConnack, v: v}
	r.check(h, TypeConnack)
	flags := r.byte("Connect Acknowledge Flags")
	if flags > 1 && v > V31 {
		r.fail(MalformedPacket, "reserved bits of Connect Acknowledge Flags", statement(v, "MQTT-3.2.2-1", ""))
	}
	p.SessionPresent = flags == 1 && v > V31
	if v < V5 {
		p.Code = ReasonCode(r.byte("Return Code"))
		if p.Code > maxReturnCode {
			r.fail(ProtocolError, "Return Code over 5", "")
		}
	} else {
		p.Code = r.code()
	}
	if p.SessionPresent && p.Code != Success {
		r.fail(ProtocolError, "Session Present in a refusal", statement(v, "MQTT-3.2.2-6", "MQTT-3.2.2-4"))
	}
	if v >= V5 {
		p.parseProperties(&r)
	}
	return r.end()
}

func (p *Connack) parseProperties(r *reader) {
	props := r.open(inConnack)
	for props.next(r) {
		switch props.id {
		case propSessionExpiry:
			p.SessionExpiryInterval = ptr(props.num)
		case propAssignedClientID:
			p.AssignedClientID = string(props.data)
		case propServerKeepAlive:
			p.ServerKeepAlive = ptr(uint16(props.num))
		case propAuthMethod:
			p.AuthenticationMethod = string(props.data)
		case propAuthData:
			p.AuthenticationData = clone(props.data)
		case propResponseInformation:
			p.ResponseInformation = string(props.data)
		case propServerReference:
			p.ServerReference = string(props.data)
		case propReasonString:
			p.ReasonString = string(props.data)
		case propReceiveMaximum:
			p.ReceiveMaximum = uint16(props.num)
		case propTopicAliasMaximum:
			p.TopicAliasMaximum = ptr(uint16(props.num))
		case propMaximumQoS:
			p.MaximumQoS = ptr(QoS(props.num))
		case propRetainAvailable:
			p.RetainAvailable = ptr(props.num == 1)
		case propMaximumPacketSize:
			p.MaximumPacketSize = props.num
		case propWildcardAvailable:
			p.WildcardSubscriptionAvailable = ptr(props.num == 1)
		case propSubIDAvailable:
			p.SubscriptionIdentifierAvailable = ptr(props.num == 1)
		case propSharedAvailable:
			p.SharedSubscriptionAvailable = ptr(props.num == 1)
		}
	}
	props.authPair(r)
	p.User = props.takeUsers(r, p.User)
}

// Append implements [Packet].
func (p *Connack) Append(b []byte, v Version) ([]byte, error) {
	w := newWriter(b, TypeConnack, 0)
	if p.SessionPresent && p.Code != Success {
		w.fail(ProtocolError, "Session Present in a refusal")
	}
	if p.SessionPresent && v > V31 {
		w.byte(1)
	} else {
		w.byte(0)
	}
	if v < V5 {
		if p.Code > maxReturnCode {
			w.fail(ProtocolError, "Return Code over 5")
		}
		w.byte(byte(p.Code))
		return w.finish()
	}
	w.code(p.Code)
	p.appendProperties(&w)
	return w.finish()
}

func (p *Connack) appendProperties(w *writer) {
	at := w.open()
	w.uint32Pointer(propSessionExpiry, p.SessionExpiryInterval)
	w.textProperty(propAssignedClientID, p.AssignedClientID)
	w.uint16Pointer(propServerKeepAlive, p.ServerKeepAlive)
	w.auth(p.AuthenticationMethod, p.AuthenticationData)
	w.textProperty(propResponseInformation, p.ResponseInformation)
	w.textProperty(propServerReference, p.ServerReference)
	w.textProperty(propReasonString, p.ReasonString)
	w.uint16Property(propReceiveMaximum, p.ReceiveMaximum)
	w.uint16Pointer(propTopicAliasMaximum, p.TopicAliasMaximum)
	if p.MaximumQoS != nil {
		if *p.MaximumQoS > 1 {
			w.fail(ProtocolError, "Maximum QoS out of range")
		}
		w.flag(propMaximumQoS, *p.MaximumQoS == 1)
	}
	w.flagPointer(propRetainAvailable, p.RetainAvailable)
	w.users(p.User)
	w.uint32Property(propMaximumPacketSize, p.MaximumPacketSize)
	w.flagPointer(propWildcardAvailable, p.WildcardSubscriptionAvailable)
	w.flagPointer(propSubIDAvailable, p.SubscriptionIdentifierAvailable)
	w.flagPointer(propSharedAvailable, p.SharedSubscriptionAvailable)
	w.close(at)
}
