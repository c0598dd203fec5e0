// Package mqttx builds MQTT brokers: protocol versions 3.1, 3.1.1 and 5.0, with callbacks and a state of your own for
// each connection.
//
// The zero [Server] works. Without a [Handler] that decides on CONNECT it serves clients of this machine only:
//
//	var srv mqttx.Server
//	log.Fatal(srv.ListenAndServe(":1883"))
//
// What the application has to say goes into [Callbacks], a struct of optional functions that the compiler checks. The
// value that Connect returns belongs to that connection alone, and every later callback gets it:
//
//	srv := mqttx.Server{Handler: mqttx.Callbacks[*client]{Connect: connect, Publish: publish}}
//
// Every callback answers with an error: nil says yes, a [ReasonCode] or an [Error] refuses with that code, and
// [Disconnect] also ends the connection. Codes that MQTT 3.1 and 3.1.1 do not know are translated.
//
// The codec is package packet, the index of subscriptions package topic; both can be used alone. Package mqttest tests
// handlers without sockets and in virtual time.
package mqttx
