// Package mqttest tests handlers, stores and servers of mqttx: with servers and raw clients in memory, without sockets, and
// in virtual time if the test runs in a bubble of testing/synctest.
package mqttest
