// Hello is the smallest broker: it serves the clients of this machine.
package main

import (
	"log"

	"github.com/e8743928/mqttx"
)

func main() {
	var srv mqttx.Server
	log.Fatal(srv.ListenAndServe(":1883"))
}
