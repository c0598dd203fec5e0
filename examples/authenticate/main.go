// Authenticate lets in clients that know a password. A plain function is a handler.
package main

import (
	"context"
	"crypto/subtle"
	"flag"
	"log"

	"github.com/e8743928/mqttx"
)

var passwords = map[string]string{"ann": "secret"}

func check(ctx context.Context, r *mqttx.ConnectRequest) error {
	want, known := passwords[r.Username]
	if subtle.ConstantTimeCompare(r.Password, []byte(want)) == 0 || !known {
		return mqttx.BadUserNameOrPassword
	}
	return nil // r.Username is now the verified name
}

func main() {
	addr := flag.String("addr", ":1883", "address to listen on")
	flag.Parse()
	srv := mqttx.Server{Handler: mqttx.Authenticate(check)}
	log.Fatal(srv.ListenAndServe(*addr))
}
