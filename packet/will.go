package packet

// Will is the message that a server publishes for a client that is gone. Parse
// makes a new one each time and copies all it holds.
type Will struct {
	Topic   string // has no wildcards
	Payload []byte // at most 65,535 bytes
	QoS     QoS
	Retain  bool

	// The Will Properties, 5.0 only.
	DelayInterval         uint32 // Will Delay Interval in seconds
	PayloadFormat         PayloadFormat
	MessageExpiryInterval *uint32 // seconds; nil: no expiry
	ContentType           string
	ResponseTopic         string // has no wildcards
	CorrelationData       []byte // nil absent
	User                  []UserProperty
}

// parse reads the three fields of the will; QoS and Retain are set.
func (p *Will) parse(r *reader) {
	if r.v >= V5 {
		props := r.open(inWill)
		for props.next(r) {
			switch props.id {
			case propPayloadFormat:
				p.PayloadFormat = FormatBytes + PayloadFormat(props.num)
			case propMessageExpiry:
				p.MessageExpiryInterval = ptr(props.num)
			case propContentType:
				p.ContentType = string(props.data)
			case propResponseTopic:
				p.ResponseTopic = string(props.data)
			case propCorrelationData:
				p.CorrelationData = clone(props.data)
			case propWillDelay:
				p.DelayInterval = props.num
			}
		}
		p.User = props.takeUsers(r, nil)
	}
	p.Topic = string(r.topic("Will Topic", false))
	p.Payload = clone(r.binary("Will Payload"))
}

func (p *Will) append(w *writer, v Version) {
	if p.QoS > 2 {
		w.fail(ProtocolError, "Will QoS over 2")
	}
	if p.Topic == "" {
		w.fail(ProtocolError, "empty Will Topic")
	}
	if v >= V5 {
		at := w.open()
		w.format(p.PayloadFormat)
		w.uint32Pointer(propMessageExpiry, p.MessageExpiryInterval)
		w.textProperty(propContentType, p.ContentType)
		w.textProperty(propResponseTopic, p.ResponseTopic)
		w.binaryProperty(propCorrelationData, p.CorrelationData)
		w.uint32Property(propWillDelay, p.DelayInterval)
		w.users(p.User)
		w.close(at)
	}
	w.text("Will Topic", p.Topic)
	w.binary("Will Payload", p.Payload)
}
