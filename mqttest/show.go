package mqttest

import (
	"fmt"

	"github.com/e8743928/mqttx/packet"
)

// show writes a packet for messages.
func (c *Client) show(p packet.Packet) string { return fmt.Sprintf("%s %+v", p.Type(), p) }
