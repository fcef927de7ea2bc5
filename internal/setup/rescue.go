package setup

import (
	"context"
	"log/slog"

	"indelible/internal/config"
	"indelible/internal/engine"
)

// Rescue brings the pending records of a data directory that can go no further
// into the bucket, under a new log: see engine.Rescue.
func Rescue(ctx context.Context, l *config.Loaded, log *slog.Logger, progress func(brought, left uint64)) ([]engine.Rescued, error) {
	o, err := EngineOptions(l, log)
	if err != nil {
		return nil, err
	}
	rescued, err := engine.Rescue(ctx, o, progress)
	return rescued, nameMistake(err)
}
