package packet

// Connect opens a connection.
type Connect struct {
	Version    Version // set by Parse; for Append see there
	Level      byte    // the protocol level byte as sent, bridge bit included; Append does not look at it
	Bridge     bool    // the level is that of 3.1 or 3.1.1 with bit 0x80, the mark of some bridges
	CleanStart bool    // Clean Session in 3.1 and 3.1.1
	KeepAlive  uint16  // seconds; 0: none
	ClientID   string  // may be empty; of any length in 3.1 too

	Username    string // User Name
	HasUsername bool   // there is a User Name; Append writes one that is not empty anyway
	Password    []byte // nil: none; Parse copies it

	Will *Will // nil: none

	// The properties, 5.0 only.
	SessionExpiryInterval      *uint32 // seconds; nil: 0
	ReceiveMaximum             uint16  // 0 absent: 65535
	MaximumPacketSize          uint32  // bytes; 0 absent: no limit
	TopicAliasMaximum          uint16  // 0 absent: 0
	RequestResponseInformation bool    // absent: false
	NoProblemInformation       bool    // Request Problem Information is 0; absent: false
	AuthenticationMethod       string
	AuthenticationData         []byte // nil absent; Parse copies it
	User                       []UserProperty
}

// The protocol names.
const (
	nameMQIsdp = "MQIsdp" // 3.1
	nameMQTT   = "MQTT"   // 3.1.1 and 5.0
)

// Bits of the protocol level and of the Connect Flags.
const (
	bridgeBit = 0x80

	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUsername   = 0x80
)

// Type is TypeConnect.
func (p *Connect) Type() Type { return TypeConnect }

// Parse implements [Packet]. The version is that of the packet; v is not looked at.
// The fields borrow nothing from body. An unknown protocol name or level is
// UnsupportedProtocolVersion, with Level set if there was one.
func (p *Connect) Parse(h Header, body []byte, _ Version) error {
	*p = Connect{User: resetUsers(p.User)}
	r := reader{b: body, typ: TypeConnect, v: 0}
	r.check(h, TypeConnect)
	p.parseVersion(&r)
	flags := r.byte("Connect Flags")
	checkConnectFlags(&r, flags)
	p.CleanStart = flags&connectCleanStart != 0
	p.KeepAlive = r.uint16("Keep Alive")
	if r.v >= V5 {
		p.parseProperties(&r)
	}
	p.ClientID = string(r.text("Client Identifier"))
	if flags&connectWill != 0 && r.err == nil {
		p.Will = &Will{QoS: QoS(flags & connectWillQoS >> 3), Retain: flags&connectWillRetain != 0}
		p.Will.parse(&r)
	}
	if flags&connectUsername != 0 {
		p.Username, p.HasUsername = string(r.text("User Name")), true
	}
	if flags&connectPassword != 0 {
		p.Password = clone(r.binary("Password"))
	}
	return r.end()
}

// parseVersion reads protocol name and level.
func (p *Connect) parseVersion(r *reader) {
	name := string(r.binary("protocol name"))
	if r.err == nil && name != nameMQTT && name != nameMQIsdp {
		if len(r.b) > 0 {
			p.Level = r.b[0]
		}
		r.fail(UnsupportedProtocolVersion, "unknown protocol name", "MQTT-3.1.2-1")
		return
	}
	p.Level = r.byte("protocol level")
	v := Version(p.Level)
	if old := v &^ bridgeBit; v != old && (old == V31 || old == V311) {
		p.Bridge = true
		v = old
	}
	switch {
	case r.err != nil:
	case name == nameMQIsdp && v == V31, name == nameMQTT && (v == V311 || v == V5):
		p.Version, r.v = v, v
	default:
		r.fail(UnsupportedProtocolVersion, "unsupported protocol level", "MQTT-3.1.2-2")
	}
}

// checkConnectFlags refuses contradictions in the Connect Flags. MQTT 3.1 says to
// disregard the other will bits without a will.
func checkConnectFlags(r *reader, flags byte) {
	v := r.v
	switch {
	case r.err != nil:
	case flags&connectReserved != 0:
		r.fail(MalformedPacket, "reserved Connect Flag", statement(v, "MQTT-3.1.2-3", "MQTT-3.1.2-3"))
	case flags&connectWill != 0:
		if flags&connectWillQoS == connectWillQoS {
			r.fail(MalformedPacket, "Will QoS 3", statement(v, "MQTT-3.1.2-12", "MQTT-3.1.2-14"))
		}
	case flags&connectWillQoS != 0 && v > V31:
		r.fail(MalformedPacket, "Will QoS without a will", statement(v, "MQTT-3.1.2-11", "MQTT-3.1.2-13"))
	case flags&connectWillRetain != 0 && v > V31:
		r.fail(MalformedPacket, "Will Retain without a will", statement(v, "MQTT-3.1.2-13", "MQTT-3.1.2-15"))
	}
	if v < V5 && flags&(connectUsername|connectPassword) == connectPassword {
		r.fail(MalformedPacket, "Password without User Name", statement(v, "", "MQTT-3.1.2-22"))
	}
}

func (p *Connect) parseProperties(r *reader) {
	props := r.open(inConnect)
	for props.next(r) {
		switch props.id {
		case propSessionExpiry:
			p.SessionExpiryInterval = ptr(props.num)
		case propAuthMethod:
			p.AuthenticationMethod = string(props.data)
		case propAuthData:
			p.AuthenticationData = clone(props.data)
		case propRequestProblem:
			p.NoProblemInformation = props.num == 0
		case propRequestResponse:
			p.RequestResponseInformation = props.num == 1
		case propReceiveMaximum:
			p.ReceiveMaximum = uint16(props.num)
		case propTopicAliasMaximum:
			p.TopicAliasMaximum = uint16(props.num)
		case propMaximumPacketSize:
			p.MaximumPacketSize = props.num
		}
	}
	props.authPair(r)
	p.User = props.takeUsers(r, p.User)
}

// Append implements [Packet]. The version is v if it is not 0, else that of the
// packet, else 5.0. Bridge sets the bridge bit in 3.1 and 3.1.1.
func (p *Connect) Append(b []byte, v Version) ([]byte, error) {
	if v == 0 {
		v = p.Version
	}
	if v == 0 {
		v = V5
	}
	w := newWriter(b, TypeConnect, 0)
	p.appendVersion(&w, v)
	w.byte(p.flags())
	w.uint16(p.KeepAlive)
	if v >= V5 {
		p.appendProperties(&w)
	}
	w.text("Client Identifier", p.ClientID)
	if p.Will != nil {
		p.Will.append(&w, v)
	}
	if p.hasUsername() {
		w.text("User Name", p.Username)
	} else if v < V5 && p.Password != nil {
		w.fail(ProtocolError, "Password without User Name")
	}
	if p.Password != nil {
		w.binary("Password", p.Password)
	}
	return w.finish()
}

func (p *Connect) appendVersion(w *writer, v Version) {
	switch v {
	case V31:
		w.text("protocol name", nameMQIsdp)
	case V311, V5:
		w.text("protocol name", nameMQTT)
	default:
		w.fail(UnsupportedProtocolVersion, "unsupported protocol level")
	}
	level := byte(v)
	if p.Bridge && v < V5 {
		level |= bridgeBit
	}
	w.byte(level)
}

func (p *Connect) hasUsername() bool { return p.HasUsername || p.Username != "" }

func (p *Connect) flags() (c byte) {
	if p.CleanStart {
		c |= connectCleanStart
	}
	if p.Will != nil {
		c |= connectWill | byte(p.Will.QoS)<<3&connectWillQoS
		if p.Will.Retain {
			c |= connectWillRetain
		}
	}
	if p.hasUsername() {
		c |= connectUsername
	}
	if p.Password != nil {
		c |= connectPassword
	}
	return c
}

func (p *Connect) appendProperties(w *writer) {
	at := w.open()
	w.uint32Pointer(propSessionExpiry, p.SessionExpiryInterval)
	w.auth(p.AuthenticationMethod, p.AuthenticationData)
	if p.NoProblemInformation {
		w.flag(propRequestProblem, false)
	}
	if p.RequestResponseInformation {
		w.flag(propRequestResponse, true)
	}
	w.uint16Property(propReceiveMaximum, p.ReceiveMaximum)
	w.uint16Property(propTopicAliasMaximum, p.TopicAliasMaximum)
	w.users(p.User)
	w.uint32Property(propMaximumPacketSize, p.MaximumPacketSize)
	w.close(at)
}
