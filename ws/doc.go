// Package ws serves MQTT over WebSocket ([MQTT-6.0.0-1] to [MQTT-6.0.0-4] of both versions, G17). A [*Handler] is an
// http.Handler for anybody's mux:
//
//	mux.Handle("/mqtt", &ws.Handler{Server: srv})
//
// and [Handler.Serve] is a listener of its own, at ":8083" and "/mqtt" by custom. TLS is the business of the listener or
// of the http.Server: then it is wss, and a client certificate reaches Connect by [mqttx.Conn.TLS] (G18).
//
// # Origins
//
// A browser lets every page open WebSockets to every host, this machine's included, and tells the page's origin. By
// default only pages that the same host has served are let in, so that a [mqttx.Server] without a Handler, which trusts
// this machine, does not trust each page that is looked at there. [Handler].Origins names others. Programs send no origin
// and are let in.
//
// A reverse proxy on this machine makes every client one of this machine, for mqttx too: behind one the Server needs a
// Handler that decides on CONNECT, and pages need Origins.
//
// # Frames
//
// MQTT packets and frames need not line up: each frame's payload goes to the Server as it comes, unmasked in place, and
// nothing is gathered, whatever length a frame announces. So what a client can make the Server hold is bounded by
// [mqttx.Limits] alone, by ConnectSize before CONNECT. A frame longer than the largest MQTT packet is refused with close
// code 1009, a text frame with 1003, bytes that are no frames with 1002. Compression is not offered. Lengths that a
// shorter form could express are let pass.
//
// Each write of the Server is one binary frame of at most 256 KiB, more are several. What has to be told, DISCONNECT too,
// goes before the close frame. Its code is 1000, or 1001 when the Server shuts down and the connection came by
// [Handler.Serve]: a Handler on a mux cannot tell.
//
// # Time
//
// The request is the http.Server's until the upgrade, so its ReadHeaderTimeout is the limit of a slow handshake; then
// Limits.ConnectTimeout runs. Handler.Serve has one limit for both and TLS (N3). After the upgrade no timeout of the
// http.Server holds. The connection outlives the request: ServeHTTP returns, so that the http.Server's buffers are free,
// and callbacks have the values of the request's context without its end. Shutdown of the Server ends connections, that of
// the http.Server does not.
//
// # Goroutines
//
// Each connection has the two of [mqttx.Server.ServeConn], and for a moment one that answers pings, or one that waits
// half a second for the client's close frame. A Handler has none, Handler.Serve one for its time.
package ws
