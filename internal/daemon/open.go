package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"indelible/internal/config"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// openEngine opens the log that a configuration describes. m may be nil.
func openEngine(ctx context.Context, l *config.Loaded, log *slog.Logger, m *metrics) (*engine.Engine, error) {
	c := &l.Config
	secret, err := c.Proof.Secret()
	if err != nil {
		return nil, err
	}
	o := engine.Options{
		Dir: c.Data, Name: c.Proof.WantedName(), Logger: log,
		Destination: func(ctx context.Context) (*engine.Destination, error) {
			d, err := openDestination(ctx, c, false)
			if err != nil {
				return nil, err
			}
			return &d.Destination, nil
		},
		Spool: spool.Options{SegmentBytes: c.Spool.SegmentBytes, ReserveBytes: c.Spool.ReserveBytes, MaxBytes: c.Spool.MaxBytes},
		Upload: upload.Options{
			MaxConcurrency: c.Destination.MaxConcurrency,
			BackoffMin:     c.Upload.BackoffMin, BackoffMax: c.Upload.BackoffMax, AttemptTimeout: c.Upload.AttemptTimeout,
		},
		Proof: engine.Proof{
			Secret: secret, Program: "indelible " + Version().Version, Config: l.Digest(),
			CheckpointEvery: c.Proof.CheckpointEvery,
		},
	}
	if m != nil {
		o.Spool.Events, o.Upload.Events = m.spoolEvents(), m.uploadEvents()
	}
	e, err := engine.Open(ctx, o)
	return e, nameMistake(err)
}

// uploadEvents are what the uploader tells as it happens.
func (m *metrics) uploadEvents() upload.Events {
	return upload.Events{
		Attempt: func(result string, _ time.Duration) { m.attempts.WithLabelValues(result).Inc() },
		Retry:   func(cause store.Class) { m.retries.WithLabelValues(cause.String()).Inc() },
	}
}

// lookEngine opens what is there to be read, beside a process that may write it.
func lookEngine(ctx context.Context, c *config.Config) (*engine.Components, error) {
	return engine.Look(ctx, c.Data, func(ctx context.Context) (*engine.Destination, error) {
		d, err := openDestination(ctx, c, true)
		if err != nil {
			return nil, err
		}
		return &d.Destination, nil
	})
}

// nameMistake turns a configuration that gives the log another name into an error of that configuration.
func nameMistake(err error) error {
	if other, ok := errors.AsType[*proof.NameError](err); ok {
		return &config.Error{Where: "proof.name", Problem: fmt.Sprintf("this data directory holds the log %q, and a log's name never changes: take proof.name out, or give --data another directory for the log %q", other.Kept, other.Wanted)}
	}
	return err
}
