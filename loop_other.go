//go:build !linux

package mqttx

import "net"

// loops is not there on this system.
type loops struct{}

func (ls *loops) stop() {}

// listenLoop serves with a goroutine per connection.
func (s *Server) listenLoop(nl net.Listener) error { return s.Serve(nl) }
