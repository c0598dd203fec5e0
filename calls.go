package mqttx

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// slowInline is how long a call of an Inline handler may take before the log says so, once.
const slowInline = 10 * time.Millisecond

// panicked is what a panic in a callback becomes: the connection ends with UnspecifiedError, the stack is logged.
type panicked struct{ v any }

func (p *panicked) Error() string { return fmt.Sprintf("panic in a callback: %v", p.v) }

// guard runs f and turns a panic in it into a Disconnect error.
func (b *broker) guard(t *table, what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			b.log.error("panic in a callback", "handler", t.name, "callback", what, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = Disconnect(&Error{Code: UnspecifiedError, Err: &panicked{v}})
		}
	}()
	if !t.inline {
		return f()
	}
	begun := time.Now()
	err = f()
	if d := time.Since(begun); d > slowInline {
		b.log.slow(t.name, what, d)
	}
	return err
}

// state gives what the i-th handler's Connect returned.
func (c *Conn) state(i int) any {
	if i < len(c.states) {
		return c.states[i]
	}
	return nil
}

// each calls f for the handlers in turn until one returns an error. What this turn has filled is flushed first, so that no
// message waits for somebody's callback.
func (c *Conn) each(what string, has func(t *table) bool, f func(t *table, state any) error) error {
	for i, t := range c.b.tables {
		if !has(t) {
			continue
		}
		if !t.inline {
			c.way.flush()
		}
		if err := c.b.guard(t, what, func() error { return f(t, c.state(i)) }); err != nil {
			return err
		}
	}
	return nil
}

// callAuth asks the handlers for an exchange by the client's method.
func (c *Conn) callAuth(r *ConnectRequest) (x Exchange, err error) {
	ctx, cancel := c.connectContext()
	defer cancel()
	err = c.each("Auth", func(t *table) bool { return t.auth != nil && x == nil }, func(t *table, _ any) (err error) {
		x, err = t.auth(ctx, r)
		return err
	})
	return x, err
}

// callExchange gives an exchange its next data.
func (c *Conn) callExchange(x *exchange, data []byte) (out []byte, done bool, err error) {
	c.way.flush()
	err = c.b.guard(&table{name: "Exchange"}, "Auth", func() (err error) {
		out, done, err = x.step(c.Context(), data)
		return err
	})
	return out, done, err
}

// callConnect asks every handler's Connect. proved says that an exchange has shown who the client is.
func (c *Conn) callConnect(ctx context.Context, r *ConnectRequest, proved bool) error {
	if !c.b.has.decision && !isLocal(c.RemoteAddr()) {
		return &Error{Code: NotAuthorized, Err: errRemote}
	}
	decided := proved
	for i, t := range c.b.tables {
		if t.connect != nil {
			c.way.flush()
			var state any
			err := c.b.guard(t, "Connect", func() (err error) {
				state, err = t.connect(ctx, r)
				return err
			})
			if err != nil {
				return err
			}
			decided = decided || t.decides
			if t.stateful {
				if c.states == nil {
					c.states = make([]any, len(c.b.tables))
				}
				c.states[i] = state
			}
		}
		c.accepts = i + 1
	}
	if !decided && !isLocal(c.RemoteAddr()) {
		return &Error{Code: NotAuthorized, Err: errRemote}
	}
	return nil
}

func (c *Conn) callConnected(ctx context.Context) error {
	return c.each("Connected", func(t *table) bool { return t.connected != nil }, func(t *table, s any) error { return t.connected(ctx, s) })
}

// callPublish shows m to each handler's Allow and then its Publish.
func (c *Conn) callPublish(ctx context.Context, m *Message) error {
	handled := false
	for i, t := range c.b.tables {
		if t.allow != nil {
			a := Access{Client: m.From, Op: OpPublish, Topic: m.Topic, QoS: m.QoS, Retain: m.Retain}
			if err := c.allowPublish(ctx, t, a); err != nil {
				return err
			}
		}
		if t.publish == nil {
			continue
		}
		if !t.inline {
			c.way.flush()
		}
		err := c.b.guard(t, "Publish", func() error { return t.publish(ctx, c.state(i), m) })
		switch {
		case err == nil:
		case errors.Is(err, Handled):
			handled = true
		default:
			return err
		}
	}
	if handled {
		return Handled
	}
	return nil
}

// callSubscription asks each handler's Allow and then its Subscribe or Unsubscribe.
func (c *Conn) callSubscription(ctx context.Context, sub *Subscription, un bool) error {
	for i, t := range c.b.tables {
		call, what := t.subscribe, "Subscribe"
		if un {
			call, what = t.unsubscribe, "Unsubscribe"
		}
		if t.allow != nil && !un {
			a := Access{Client: c.Client(), Op: OpSubscribe, Topic: sub.Filter, QoS: sub.QoS}
			if err := c.b.askAllow(ctx, t, a); err != nil {
				return err
			}
		}
		if call == nil {
			continue
		}
		if !t.inline {
			c.way.flush()
		}
		if err := c.b.guard(t, what, func() error { return call(ctx, c.state(i), sub) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) callInfo(v any) error {
	return c.each("Info", func(t *table) bool { return t.info != nil }, func(t *table, s any) error { return t.info(c.Context(), s, v) })
}

func (c *Conn) callDelivered(m *Message, code ReasonCode) error {
	return c.each("Delivered", func(t *table) bool { return t.delivered != nil }, func(t *table, s any) error {
		return t.delivered(c.Context(), s, m, code)
	})
}

// callDeliver shows m to the handlers, last one first; nil: it is dropped.
func (c *Conn) callDeliver(m *Message) *Message {
	for i := len(c.b.tables) - 1; i >= 0 && m != nil; i-- {
		t := c.b.tables[i]
		if t.deliver == nil {
			continue
		}
		err := c.b.guard(t, "Deliver", func() error {
			m = t.deliver(c.state(i), m)
			return nil
		})
		if err != nil {
			c.endWith(err)
			return nil
		}
	}
	if m != nil && checkMessage(m) != nil {
		c.b.log.warn("Deliver returned a message that is not valid", "client", c.ClientID(), "topic", m.Topic)
		return nil
	}
	return m
}

// callDisconnected tells every handler whose Connect has returned nil, last one first.
func (c *Conn) callDisconnected() {
	ctx := context.WithoutCancel(c.Context())
	for i := c.accepts - 1; i >= 0; i-- {
		if t := c.b.tables[i]; t.disconnected != nil {
			c.b.guard(t, "Disconnected", func() error {
				t.disconnected(ctx, c.state(i), c.why)
				return nil
			})
		}
	}
}

func (b *broker) callSessionExpired(who Client) {
	for _, t := range b.tables {
		if t.sessionExpired != nil {
			b.guard(t, "SessionExpired", func() error {
				t.sessionExpired(context.Background(), who)
				return nil
			})
		}
	}
}

// endWith ends the connection with a callback's error.
func (c *Conn) endWith(err error) {
	r := refuse(err, 0)
	e := r.Error
	e.Code = r.code
	c.end(&DisconnectError{By: ByServer, Code: r.code, Text: e.Text, Err: err}, &e)
}
