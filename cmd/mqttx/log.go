package main

import (
	"fmt"
	"io"
	"log/slog"
)

// parseLevel reads the least level that is logged.
func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("want debug, info, warn or error")
}

// logFormat makes what writes the records.
type logFormat func(io.Writer, *slog.HandlerOptions) slog.Handler

func parseLogFormat(s string) (logFormat, error) {
	switch s {
	case "text":
		return textLog, nil
	case "json":
		return jsonLog, nil
	}
	return nil, fmt.Errorf("want text or json")
}

func textLog(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) }
func jsonLog(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) }
