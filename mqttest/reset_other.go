//go:build !unix

package mqttest

import "io"

var errReset = io.ErrUnexpectedEOF
