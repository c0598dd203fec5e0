//go:build !unix

package mqttx

import "net"

func newSource(nc net.Conn) source { return &plainSource{nc: nc} }
