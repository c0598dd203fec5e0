// Transport serves a connection that is no socket at all: any net.Conn will do, here one end of a net.Pipe. The client on
// the other end says CONNECT with the packets of the codec.
package main

import (
	"context"
	"fmt"
	"log"
	"net"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/packet"
)

func main() {
	var srv mqttx.Server
	here, there := net.Pipe()
	served := make(chan error)
	go func() { served <- srv.ServeConn(context.Background(), there) }()

	b, err := (&packet.Connect{ClientID: "pipe", CleanStart: true}).Append(nil, packet.V5)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := here.Write(b); err != nil {
		log.Fatal(err)
	}
	answer := make([]byte, 256)
	n, err := here.Read(answer)
	if err != nil {
		log.Fatal(err)
	}
	h, size, err := packet.ParseHeader(answer[:n])
	if err != nil {
		log.Fatal(err)
	}
	var ack packet.Connack
	if err := ack.Parse(h, answer[size:size+h.Length], packet.V5); err != nil {
		log.Fatal(err)
	}
	fmt.Println("CONNACK:", ack.Code)
	here.Close()
	fmt.Println(<-served)
}
