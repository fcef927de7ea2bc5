package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/metrics"
	"indelible/internal/proof"
	"indelible/internal/spool"
	"indelible/internal/upload"
)

// openEngine opens the log that a configuration describes. m may be nil.
func openEngine(ctx context.Context, l *config.Loaded, log *slog.Logger, m *metrics.Metrics) (*engine.Engine, error) {
	o, err := engineOptions(l, log)
	if err != nil {
		return nil, err
	}
	if m != nil {
		o.Upload.Events = m.UploadEvents()
		o.Spool.Events = spool.Events{Synced: func(_ int, _ int64, took time.Duration, err error) {
			if err == nil {
				m.Synced(took)
			}
		}}
	}
	e, err := engine.Open(ctx, o)
	return e, nameMistake(err)
}

// engineOptions are what a configuration says of the engine.
func engineOptions(l *config.Loaded, log *slog.Logger) (engine.Options, error) {
	c := &l.Config
	secret, err := c.Proof.Secret()
	if err != nil {
		return engine.Options{}, err
	}
	var witnesses []proof.Witness
	for _, text := range c.Proof.Witnesses {
		w, err := proof.ParseWitness(text)
		if err != nil {
			return engine.Options{}, err
		}
		witnesses = append(witnesses, w)
	}
	return engine.Options{
		Dir: c.Data, Name: c.Proof.WantedName(), Logger: log, Identity: identity(c), Rescue: rescueCommand(l),
		Destination: func(ctx context.Context, log string) (*engine.Destination, error) {
			d, err := openDestination(ctx, c, log, false)
			if err != nil {
				return nil, err
			}
			return &d.Destination, nil
		},
		Spool: spool.Options{SegmentBytes: c.Spool.SegmentBytes, ReserveBytes: c.Spool.ReserveBytes, MaxBytes: c.Spool.MaxBytes},
		Upload: upload.Options{
			MaxConcurrency: c.Destination.MaxConcurrency,
			BackoffMin:     c.Upload.BackoffMin, BackoffMax: c.Upload.BackoffMax, AttemptTimeout: c.Upload.AttemptTimeout,
			Confirm: upload.Confirm(c.Upload.Confirm), ConfirmAfter: c.Upload.ConfirmAfter,
		},
		Packs: engine.Packs{On: c.Layout == "pack", MaxBytes: c.Pack.MaxBytes, MaxRecords: c.Pack.MaxRecords, MaxAge: c.Pack.MaxAge},
		Proof: engine.Proof{
			Secret: secret, Program: "indelible " + control.Version().Version, Config: l.Digest(),
			CheckpointEvery: c.Proof.CheckpointEvery, Witnesses: witnesses,
		},
	}, nil
}

// identity names the destination, however it was configured.
func identity(c *config.Config) string {
	if c.Destination.Endpoint == "" {
		return c.Destination.URL
	}
	return c.Destination.URL + " at " + c.Destination.Endpoint
}

// rescueCommand is the command line that rescues this data directory: it works from any
// directory and without the environment of this process, but for credentials.
func rescueCommand(l *config.Loaded) string {
	c := &l.Config
	words := []string{"indelible", "rescue"}
	if l.File != "" {
		file, err := filepath.Abs(l.File)
		if err != nil {
			file = l.File
		}
		words = append(words, "--config", file)
	}
	words = append(words, "--data", c.Data, "--to", c.Destination.URL)
	if c.Destination.Endpoint != "" {
		words = append(words, "--endpoint", c.Destination.Endpoint)
	}
	if c.Destination.Region != "" {
		words = append(words, "--region", c.Destination.Region)
	}
	for i, w := range words {
		words[i] = engine.ShellQuote(w)
	}
	return strings.Join(words, " ")
}

// lookEngine opens what is there to be read, beside a process that may write it.
func lookEngine(ctx context.Context, c *config.Config) (*engine.Components, error) {
	return engine.Look(ctx, c.Data, func(ctx context.Context) (*engine.Destination, error) {
		d, err := openDestination(ctx, c, "", true)
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
	if ended, ok := errors.AsType[*engine.EndedError](err); ok {
		return &config.Error{Where: "proof.name", Problem: fmt.Sprintf("%v: give proof.name another one or take it out, and a key that comes from outside (proof.key_file, INDELIBLE_LOG_KEY), which bears the name, too", ended)}
	}
	return err
}
