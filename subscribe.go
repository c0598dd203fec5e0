package mqttx

import (
	"errors"
	"time"

	"github.com/e8743928/mqttx/packet"
	"github.com/e8743928/mqttx/topic"
)

// handleSubscribe takes a SUBSCRIBE: one code per filter, in order ([MQTT-3.8.4-6], G8).
func (c *Conn) handleSubscribe(h packet.Header, body []byte) {
	var p packet.Subscribe
	if err := p.Parse(h, body, c.version); err != nil {
		c.malformed(err)
		return
	}
	if !c.maySubscribe(&p) {
		return
	}
	s := c.sess.Load()
	w := c.way
	w.begin(nil, time.Now())
	ack := &packet.Suback{PacketID: p.PacketID, Codes: make([]ReasonCode, 0, len(p.Filters))}
	var retained []replay
	var told *Error
	for _, f := range p.Filters {
		sub, fresh, r := c.subscribeOne(s, w, &p, f)
		if c.ended.Load() {
			return
		}
		if r != nil {
			if told == nil {
				told = &r.Error
			}
			ack.Codes = append(ack.Codes, c.subackCode(r.code))
			continue
		}
		ack.Codes = append(ack.Codes, ReasonCode(sub.QoS))
		if sub.Share == "" && (sub.RetainHandling == 0 || sub.RetainHandling == 1 && fresh) {
			retained = c.b.appendRetained(retained, s, sub)
		}
	}
	if c.version == V5 {
		ack.ReasonString, ack.User = c.texts(told)
		c.shrink(ack, &ack.ReasonString, &ack.User)
	}
	r := reply{commit: w.commit, p: ack}
	if len(retained) > 0 {
		r.then = func() { c.startReplay(s, retained) }
	}
	c.reply(r)
	c.pauseForStore(w.commit > 0)
}

// maySubscribe judges the whole packet: what CONNACK has told not to ask for ends the connection before anything is
// subscribed (G75, G78, G79).
func (c *Conn) maySubscribe(p *packet.Subscribe) bool {
	if c.version != V5 {
		return true
	}
	if p.SubscriptionID != 0 && c.b.compat&NoSubscriptionIDs != 0 {
		c.fail(SubscriptionIdentifiersNotSupported, errors.New("mqttx: Subscription Identifier while they are off"))
		return false
	}
	for _, f := range p.Filters {
		share, rest := topic.Share(f.Filter)
		switch {
		case share != "" && f.NoLocal:
			c.violate(errors.New("mqttx: No Local on a shared subscription"))
		case share != "" && c.b.disabled&FeatureShared != 0:
			c.fail(SharedSubscriptionsNotSupported, errors.New("mqttx: shared subscription while they are off"))
		case isWildcard(rest) && c.b.disabled&FeatureWildcard != 0:
			c.fail(WildcardSubscriptionsNotSupported, errors.New("mqttx: wildcard while they are off"))
		default:
			continue
		}
		return false
	}
	return true
}

// subackCode gives a refusal as the version's SUBACK can say it [MQTT-3.9.3-2].
func (c *Conn) subackCode(code ReasonCode) ReasonCode {
	if c.version != V5 {
		return 0x80
	}
	return code
}

// subscribeOne asks the handlers about one filter and enters it.
func (c *Conn) subscribeOne(s *session, w *way, p *packet.Subscribe, f packet.Filter) (x *sub, fresh bool, r *refusal) {
	no := func(code ReasonCode, err error) (*sub, bool, *refusal) {
		return nil, false, &refusal{code: code, Error: Error{Err: err}}
	}
	if err := topic.CheckFilter(f.Filter); err != nil {
		return no(TopicFilterInvalid, err)
	}
	x = &sub{Subscription: Subscription{
		QoS: f.QoS, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished, RetainHandling: f.RetainHandling,
		ID: p.SubscriptionID, User: p.User,
	}}
	x.Share, x.Filter = topic.Share(f.Filter)
	if c.bridge {
		x.RetainAsPublished, x.NoLocal = true, x.Share == ""
	}
	switch {
	case x.Share != "" && c.b.disabled&FeatureShared != 0:
		return no(SharedSubscriptionsNotSupported, nil)
	case isWildcard(x.Filter) && c.b.disabled&FeatureWildcard != 0:
		return no(WildcardSubscriptionsNotSupported, nil)
	}
	if err := c.callSubscription(c.Context(), &x.Subscription, false); err != nil {
		r := refuse(err, packet.TypeSuback)
		c.b.log.debug("subscribe refused", "client", s.id, "filter", f.Filter, "code", r.code.String(), "error", err)
		if r.ends {
			c.endWith(err)
		}
		return nil, false, r
	}
	x.QoS = min(x.QoS, f.QoS, c.b.maxQoS)
	if err := topic.CheckFilter(x.key()); err != nil {
		return no(TopicFilterInvalid, err)
	}
	x.User = nil
	if x.ID != 0 {
		x.ids = []uint32{x.ID}
	}
	fresh, code := s.subscribe(w, x)
	if code != Success {
		return no(code, nil)
	}
	return x, fresh, nil
}

// subscribe enters a subscription, in place of one with the same filter if there is one ([MQTT-3.8.4-3]).
func (s *session) subscribe(w *way, x *sub) (fresh bool, code ReasonCode) {
	b := s.b
	key := x.key()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return false, UnspecifiedError
	}
	_, old := s.subs[key]
	if !old && len(s.subs) >= b.limits.Load().Subscriptions {
		return false, QuotaExceeded
	}
	if _, err := b.router.Subscribe(key, s, x); err != nil {
		return false, TopicFilterInvalid
	}
	if s.subs == nil {
		s.subs = make(map[string]*sub, 1)
	}
	s.subs[key] = x
	if !old {
		b.n.subscriptions.Add(1)
		if x.Share == "" {
			s.plain.Add(1)
		}
	}
	if s.durable {
		w.commit = max(w.commit, b.journal.putSub(s, x))
	}
	return !old, Success
}

// handleUnsubscribe takes an UNSUBSCRIBE (G9).
func (c *Conn) handleUnsubscribe(h packet.Header, body []byte) {
	var p packet.Unsubscribe
	if err := p.Parse(h, body, c.version); err != nil {
		c.malformed(err)
		return
	}
	s := c.sess.Load()
	w := c.way
	w.begin(nil, time.Now())
	ack := &packet.Unsuback{PacketID: p.PacketID}
	var told *Error
	for _, f := range p.Filters {
		code, e := c.unsubscribeOne(s, w, &p, f)
		if c.ended.Load() {
			return
		}
		if e != nil && told == nil {
			told = e
		}
		ack.Codes = append(ack.Codes, code)
	}
	if c.version == V5 {
		ack.ReasonString, ack.User = c.texts(told)
		c.shrink(ack, &ack.ReasonString, &ack.User)
	} else {
		ack.Codes = nil
	}
	c.reply(reply{commit: w.commit, p: ack})
	c.pauseForStore(w.commit > 0)
}

// unsubscribeOne asks the handlers about one filter and removes it; 3.1 and 3.1.1 always remove, since they cannot be told.
func (c *Conn) unsubscribeOne(s *session, w *way, p *packet.Unsubscribe, filter string) (ReasonCode, *Error) {
	if err := topic.CheckFilter(filter); err != nil {
		return TopicFilterInvalid, &Error{Err: err}
	}
	x := Subscription{User: p.User}
	x.Share, x.Filter = topic.Share(filter)
	if err := c.callSubscription(c.Context(), &x, true); err != nil {
		r := refuse(err, packet.TypeUnsuback)
		if r.ends {
			c.endWith(err)
			return r.code, nil
		}
		if c.version == V5 {
			return r.code, &r.Error
		}
	}
	commit, found := s.unsubscribeKey(x.key())
	w.commit = max(w.commit, commit)
	if !found {
		return NoSubscriptionExisted, nil
	}
	return Success, nil
}

func (s *session) unsubscribe(key string) { s.unsubscribeKey(key) }

// unsubscribeKey removes a subscription; deliveries that have begun go on ([MQTT-3.10.4-3]).
func (s *session) unsubscribeKey(key string) (commit uint64, found bool) {
	b := s.b
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.subs[key]
	if !ok {
		return 0, false
	}
	b.router.Unsubscribe(key, s)
	delete(s.subs, key)
	b.n.subscriptions.Add(-1)
	if x.Share == "" {
		s.plain.Add(-1)
	}
	if s.durable {
		commit = b.journal.delSub(s, key)
	}
	return commit, true
}
