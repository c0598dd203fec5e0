//go:build !unix

package mqttx

func passesErrno(error) bool { return false }
