package mqttx

import (
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
)

// handlePublish takes a PUBLISH: alias and packet id are settled first, so that nothing that is dropped later leaves them
// undone; then limits, handlers, routing, and the answer.
func (c *Conn) handlePublish(p *packet.Publish) {
	if len(p.SubscriptionIDs) > 0 {
		c.violate(errors.New("mqttx: Subscription Identifier in a PUBLISH from a client"))
		return
	}
	if !c.resolveAlias(p) {
		return
	}
	s := c.sess.Load()
	if p.QoS == 2 && s.alreadyReceived(p.PacketID, c.b.ms()) {
		c.answer(p.QoS, p.PacketID, Success, nil, 0)
		return
	}
	if !c.withinWindow(p, s) {
		return
	}
	if p.Retain && c.b.disabled&FeatureRetain != 0 {
		c.fail(RetainNotSupported, errors.New("mqttx: RETAIN while retained messages are off"))
		return
	}
	if p.QoS > c.b.maxQoS {
		c.fail(QoSNotSupported, errors.New("mqttx: QoS over Maximum QoS"))
		return
	}
	if !c.withinRate(p, s) {
		return
	}
	c.publish(p, s)
}

// publish asks the handlers and routes.
func (c *Conn) publish(p *packet.Publish, s *session) {
	w := c.way
	w.scratch.read(p, &w.props, w.now)
	l := &w.scratch
	l.From = c.Client()
	if isSystemTopic(l.Topic) {
		c.refusePublish(p, NotAuthorized, errSystemTopic)
		return
	}
	if c.b.checkFormat && p.PayloadFormat == FormatUTF8 && !utf8.Valid(p.Payload) {
		c.refusePublish(p, PayloadFormatInvalid, nil)
		return
	}
	if len(p.Payload) >= refSize || c.b.has.blockingPublish || c.b.trace != nil {
		l = l.keep()
	}
	if c.b.has.publish {
		before := l.Topic
		err := c.callPublish(c.Context(), &l.Message)
		if c.ended.Load() {
			return // nothing is acknowledged after DISCONNECT
		}
		if errors.Is(err, Handled) {
			c.handled(p, s, w)
			return
		}
		if err == nil && l.Topic != before {
			err = wrapCode(TopicNameInvalid, topic.CheckName(l.Topic))
		}
		if err != nil {
			c.refusePublish(p, 0, err)
			return
		}
		l.QoS = min(l.QoS, 2)
	}
	w.begin(l, w.now)
	if p.QoS == 2 {
		s.noteReceived(w, p.PacketID, c.b.ms())
	}
	matched, code := c.b.route(w)
	if code >= 0x80 {
		if p.QoS == 2 {
			s.forgetReceived(w, p.PacketID)
		}
		c.refusePublish(p, code, nil)
		return
	}
	c.acceptedAs(p, code, matched, w)
	if w.full != nil {
		c.pauseFor(w.full)
	}
	c.pauseForStore(w.commit > 0)
}

// handled answers a message that a handler has taken for itself.
func (c *Conn) handled(p *packet.Publish, s *session, w *way) {
	w.commit = 0
	if p.QoS == 2 {
		s.noteReceived(w, p.PacketID, c.b.ms())
	}
	c.acceptedAs(p, Success, 1, w)
}

func (c *Conn) acceptedAs(p *packet.Publish, code ReasonCode, matched int, w *way) {
	if p.QoS == 0 {
		return
	}
	if matched == 0 && code == Success && c.version == V5 {
		code = NoMatchingSubscribers
	}
	c.answer(p.QoS, p.PacketID, code, nil, w.commit)
}

// resolveAlias gives the PUBLISH its topic (G58-G60); false: the connection has ended.
func (c *Conn) resolveAlias(p *packet.Publish) bool {
	a := int(p.TopicAlias)
	if a == 0 {
		return true
	}
	if a > c.aliasMax {
		c.fail(TopicAliasInvalid, errors.New("mqttx: Topic Alias over the maximum"))
		return false
	}
	if len(p.Topic) > 0 {
		for len(c.aliases) < a {
			c.aliases = append(c.aliases, "")
		}
		if c.aliases[a-1] != string(p.Topic) {
			c.aliases[a-1] = string(p.Topic)
		}
		return true
	}
	if a > len(c.aliases) || c.aliases[a-1] == "" {
		c.violate(errors.New("mqttx: Topic Alias that stands for no topic"))
		return false
	}
	p.Topic = []byte(c.aliases[a-1])
	return true
}

// withinWindow keeps the client within the Receive Maximum that CONNACK told ([MQTT-3.3.4-7], G62, G65); 3.1 and 3.1.1
// clients have none but the number of packet ids.
func (c *Conn) withinWindow(p *packet.Publish, s *session) bool {
	if p.QoS == 0 || c.version != V5 {
		return true
	}
	guide := c.b.compat&WindowRefusal93 != 0
	if guide && p.QoS == 1 {
		return true
	}
	open := s.receivedCount()
	c.out.mu.Lock()
	if open+len(c.out.acks) >= c.recvMax {
		open += c.out.unansweredLocked(guide)
	}
	c.out.mu.Unlock()
	if open < c.recvMax {
		return true
	}
	if guide {
		c.answer(p.QoS, p.PacketID, ReceiveMaximumExceeded, nil, 0)
		return false
	}
	c.fail(ReceiveMaximumExceeded, errors.New("mqttx: more messages under way than Receive Maximum"))
	return false
}

// withinRate takes a token of the message rate (G29-G32). Over the rate QoS 0 is dropped, MQTT 5.0 is refused, and 3.1 and
// 3.1.1 are held back: their acknowledgements cannot say no.
func (c *Conn) withinRate(p *packet.Publish, s *session) bool {
	lim := c.b.limits.Load()
	size := len(p.Topic) + len(p.Payload)
	if s.rate.take(c.way.now, size, lim) {
		return true
	}
	switch {
	case p.QoS == 0:
		m := Message{Topic: string(p.Topic), Payload: append([]byte(nil), p.Payload...), Retain: p.Retain, From: c.Client()}
		c.b.drop(c.Client(), &m, DropRate)
		return false
	case c.version == V5:
		code := QuotaExceeded
		if c.b.compat&RateRefusal96 != 0 {
			code = MessageRateTooHigh
		}
		c.answer(p.QoS, p.PacketID, code, nil, 0)
		return false
	}
	c.heldPublish = &packet.Publish{}
	*c.heldPublish = *p
	c.heldPublish.Topic = append([]byte(nil), p.Topic...)
	c.heldPublish.Payload = append([]byte(nil), p.Payload...)
	c.pause.until = s.rate.next(c.way.now, size, lim)
	return false
}

// goOn handles the message that was held back by the rate, if there is one, when the pause is over. It runs on the turn.
func (c *Conn) goOn() {
	p := c.heldPublish
	if p == nil || c.ended.Load() {
		return
	}
	c.heldPublish = nil
	c.way.now = time.Now()
	s := c.sess.Load()
	if c.withinRate(p, s) {
		c.publish(p, s)
	}
}

// refusePublish answers a PUBLISH that is not routed (G6). In 3.1 and 3.1.1 it is acknowledged and dropped where the client
// may not do it, else the connection ends.
func (c *Conn) refusePublish(p *packet.Publish, code ReasonCode, err error) {
	if code != 0 && err == nil {
		err = code
	} else if code != 0 {
		err = &Error{Code: code, Err: err}
	}
	t := packet.TypePuback
	if p.QoS == 2 {
		t = packet.TypePubrec
	}
	r := refuse(err, t)
	c.b.log.debug("publish refused", "client", c.ClientID(), "topic", string(p.Topic), "code", r.code.String(), "error", err)
	switch {
	case r.ends:
		c.endWith(Disconnect(&Error{Code: r.code, Text: r.Text, ServerReference: r.ServerReference, User: r.User, Err: err}))
	case p.QoS == 0:
	case c.version == V5:
		c.answer(p.QoS, p.PacketID, r.code, &r.Error, 0)
	case ackable3(r.code):
		if p.QoS == 2 {
			w := c.way
			w.commit = 0
			c.sess.Load().noteReceived(w, p.PacketID, c.b.ms())
		}
		c.answer(p.QoS, p.PacketID, Success, nil, 0)
	default:
		c.fail(r.code, err)
	}
}

// wrapCode gives err a code; nil stays nil.
func wrapCode(code ReasonCode, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: code, Err: err}
}

// isWildcard tells whether a filter has a wildcard.
func isWildcard(filter string) bool { return strings.ContainsAny(filter, "+#") }
