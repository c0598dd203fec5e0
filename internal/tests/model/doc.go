// Package model has no code: its test runs random programs of clients against a server in virtual time, and against a small
// model of what MQTT promises, and compares the two after every step.
package model
