// Package client is a light MQTT client for 5.0, 3.1.1 and 3.1, made for tools:
// one connection, no automatic reconnect, little memory, and few system calls
// under load.
//
// # Goroutines
//
// A [Client] has one goroutine of its own, the reader, from its making until Done
// is closed. It takes packets in, acknowledges them and makes every callback. A
// second goroutine writes; it lives only while there is something to write. The
// keep alive is one timer, absent when there is none.
//
// All methods may be called from any goroutine at any time. Those that wait for an
// answer of the server (Publish, Subscribe, Unsubscribe, Ping, Shutdown, and
// PublishAsync and Flush, which may wait) must not be called in a callback: the
// answer could not be read. TryPublish, Disconnect and Close never wait.
//
// # Writing
//
// A packet is encoded at once into the connection's buffer. Whatever has come
// together there when the previous write ends goes out in one piece: a caller who
// waits for each answer gets one write for each packet, a caller who pipelines gets
// large ones, and neither has to flush. What is in the buffer before Disconnect is
// written before the DISCONNECT.
//
// # Locks
//
// Client.mu is a leaf: it is not held over a callback, a read, a write or the taking
// of another lock. The WebSocket layer has two more, below it and never together.
//
// # Limitations
//
// No session state outlives a Client. QoS 2 is exactly once within a connection;
// a message that the server repeats on the next one is delivered again, and messages
// of ours that were not acknowledged are not repeated. So that the server does not
// take a new message for an old one, Packet Identifiers start at a random place when
// a session is resumed. There is no enhanced authentication, and an AUTH packet is a
// Protocol Error.
package client
