package daemon

import (
	"context"
	"io"
	"log/slog"

	"indelible/internal/config"
	"indelible/internal/engine"
)

// Rescue brings the pending records of a data directory that can go no further
// into the bucket, under a new log: see engine.Rescue. Log lines go to stderr.
func Rescue(ctx context.Context, l *config.Loaded, stderr io.Writer) ([]engine.Rescued, error) {
	log := newLogger(l.Config.Log, stderr)
	o, err := engineOptions(l, log)
	if err != nil {
		return nil, err
	}
	rescued, err := engine.Rescue(ctx, o)
	return rescued, nameMistake(err)
}

// warnUnfinished says where records of an earlier log still wait.
func warnUnfinished(l *config.Loaded, log *slog.Logger) {
	unfinished, err := engine.Unfinished(l.Config.Data)
	if err != nil {
		log.Warn("what was rescued cannot be read", "error", err)
	}
	for _, r := range unfinished {
		log.Warn("records of an earlier log wait to be brought into the destination", "log", r.From, "directory", r.Dir, "remedy", rescueCommand(l))
	}
}
