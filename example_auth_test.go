package mqttx_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"log"

	"github.com/e8743928/mqttx"
)

var keys = map[string][]byte{"ann": []byte("her key")}

func begin(ctx context.Context, r *mqttx.ConnectRequest) (mqttx.Exchange, error) {
	if r.AuthMethod != "EXAMPLE" {
		return nil, nil // not mine: the next handler, or CONNACK with BadAuthenticationMethod
	}
	var user, nonce string
	return func(ctx context.Context, in []byte) (out []byte, done bool, err error) {
		if nonce == "" { // the name came with CONNECT
			user, nonce = string(in), rand.Text()
			return []byte(nonce), false, nil
		}
		mac := hmac.New(sha256.New, keys[user])
		mac.Write([]byte(nonce))
		if !hmac.Equal(mac.Sum(nil), in) || keys[user] == nil {
			return nil, false, mqttx.NotAuthorized
		}
		r.Client.User = user
		return []byte("welcome"), true, nil
	}, nil
}

// The exchange comes first; without one, if the client named no method, the user is not known.
func mustBeKnown(ctx context.Context, r *mqttx.ConnectRequest) (*mqttx.Conn, error) {
	if r.Client.User == "" {
		return nil, mqttx.BadAuthenticationMethod
	}
	return r.Conn, nil
}

// Authentication in several steps by AUTH packets.
func ExampleExchange() {
	srv := mqttx.Server{Handler: mqttx.Callbacks[*mqttx.Conn]{Auth: begin, Connect: mustBeKnown}}
	log.Fatal(srv.ListenAndServe(":1883"))
}
