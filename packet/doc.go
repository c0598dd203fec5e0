// Package packet is the codec of MQTT 3.1, 3.1.1 and 5.0: it turns the bytes of
// one control packet into a Go value and back. It does no I/O and keeps no
// state; reading from a connection, limits and the rules that span packets are
// the caller's.
//
// # Reading
//
// [ParseHeader] reads the fixed header, [Header.Check] judges its type and
// flags, and Parse, the function or the method of a packet, reads the rest.
// Between the two the caller knows type and length and may refuse the packet
// before it takes memory for it. Every error of these functions is an [*Error]
// whose Code is the Reason Code to close the connection with.
//
// The method Parse may be called again and again on one value: it resets all
// fields and keeps the capacity of slices. A [Publish] borrows from the bytes it
// was parsed from and is good only as long as they are; the other packets borrow
// nothing.
//
// Parse does not know who sent a packet. What only a client or only a server may
// send (a Subscription Identifier on PUBLISH, a Session Expiry Interval on
// DISCONNECT, a Reason Code) is for the caller to judge; see
// [ReasonCode.ByServer].
//
// # Writing
//
// Append puts a whole packet behind a slice and returns the longer slice, like
// the built-in append. It allocates only to grow the slice. Each packet is written in
// its one canonical form: the shortest encoding, properties in ascending order of
// their identifiers, User Properties and Subscription Identifiers in the order
// of their slice. Fields that a version does not have are left out in that version.
//
// Append refuses what has no encoding and the Reason Codes that the packet may
// not carry. It trusts its caller on the content of strings: that they are valid
// UTF-8 and that Topic Names hold no wildcards.
//
// # Absent properties
//
// A property that is not in a packet is the zero value of its field where 0, false,
// "" or nil cannot be a different statement, and a nil pointer elsewhere. For a
// string property empty means absent, but for those of [Publish], which are nil when absent.
package packet
