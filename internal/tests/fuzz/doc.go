// Package fuzz has no code: its tests feed whole connections with what no client would send.
package fuzz
