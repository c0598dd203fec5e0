// Package bench puts load on an MQTT broker from outside, measures it, and checks that every message arrives.
//
// # Pacing
//
// In the closed loop a publisher has at most Options.Window messages under way, counted until the last subscriber has
// them, and at QoS 1 and 2 until they are acknowledged too: the broker sets the pace, and has no reason to drop. In the
// open loop messages are due at fixed times, whatever the broker does. The latency of a message is counted from when it
// was due, so a broker that stops for a second answers for all messages that should have gone out in that second, and
// not only for the one that was under way.
//
// # Checking
//
// The payload begins with the publisher, the number of the message, and when it was due. Each subscriber follows the
// numbers of each publisher, who has one topic: what is missing in the end is lost, what comes twice is a duplicate, what
// comes after a higher number is out of order. Subscribers of a shared subscription are followed together for loss and
// duplicates, and each for order.
//
// # Goroutines and locks
//
// [Run] starts one goroutine that schedules an open loop, or one for each publisher that has nothing but PINGRESP to pace
// it; all else happens in Run's own and in the readers of the clients. A subscriber's reader may send for a publisher:
// publisher.mu is held then, and the locks of the client package are below it. Nothing else is taken under it.
package bench
