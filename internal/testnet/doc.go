// Package testnet runs one behaviour test over every transport of the broker, so that all of them are held to the same
// expectations (G16):
//
//	testnet.Each(t, func(t *testing.T, on testnet.Transport) {
//		n := on.Start(t, &mqttx.Server{Handler: h})
//		a := n.Connect(&packet.Connect{ClientID: "a", CleanStart: true})
//		...
//	})
//
// It uses free ports of the loopback address, or a unix socket, or a pipe, and real time: what needs virtual time belongs in a
// bubble of testing/synctest with mqttest.Connect.
package testnet
