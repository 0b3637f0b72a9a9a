package cli

import (
	"log/slog"
	"os"
)

func probeLog() *slog.Logger {
	f, _ := os.Create("/tmp/probe.log")
	return slog.New(slog.NewTextHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
