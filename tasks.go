package mqttx

import "errors"

// askPump asks for a pump on the client's turn.
func (c *Conn) askPump() {
	c.postMu.Lock()
	defer c.postMu.Unlock()
	if c.ended.Load() {
		return
	}
	c.pumping = true
	c.startTasksLocked()
}

// startTasksLocked makes a goroutine take the turn for posts and pumps, under postMu, if none does.
func (c *Conn) startTasksLocked() {
	if !c.tasks {
		c.tasks = true
		go c.runTasks()
	}
}

// runTasks calls Info for what was posted, and pumps, until there is nothing left. It takes the turn anew each time, so
// that packets of the client get in between. What is posted before CONNACK waits for attach.
func (c *Conn) runTasks() {
	for {
		c.takeTurn()
		c.postMu.Lock()
		post, pump := len(c.posts) > 0, c.pumping
		if !post && !pump || c.phase != phaseOpen {
			c.tasks = false
			if c.phase == phaseEnd {
				c.posts = nil
			}
			c.postMu.Unlock()
			c.endTurn()
			return
		}
		var v any
		if post {
			v = c.posts[0]
			c.posts[0] = nil
			c.posts = c.posts[1:]
		}
		c.pumping = false
		c.postMu.Unlock()
		if post && !c.ended.Load() {
			c.info(v)
		}
		if pump && !c.ended.Load() {
			c.pumpOnTurn()
		}
		c.endTurn()
	}
}

// info hands one posted value to the handlers. A code disconnects with it, any other error with UnspecifiedError (G11).
func (c *Conn) info(v any) {
	err := c.callInfo(v)
	if err == nil {
		return
	}
	var coded ReasonCode
	var e *Error
	if !errors.As(err, &coded) && !errors.As(err, &e) {
		c.b.log.warn("Info returned an error", "client", c.ClientID(), "error", err)
	}
	c.endWith(err)
}
