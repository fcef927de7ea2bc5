// Package setup opens what a configuration describes: the destination, the log with its spool,
// and what an audit reads. It starts nothing.
package setup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/config"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/spool"
	"indelible/internal/upload"
	"indelible/internal/version"
)

// Events are told what the parts of an engine do, as it happens.
type Events struct {
	Upload upload.Events
	Spool  spool.Events
}

// Engine opens the log that a configuration describes.
func Engine(ctx context.Context, l *config.Loaded, log *slog.Logger, events Events) (*engine.Engine, error) {
	o, err := EngineOptions(l, log)
	if err != nil {
		return nil, err
	}
	o.Upload.Events, o.Spool.Events = events.Upload, events.Spool
	e, err := engine.Open(ctx, o)
	return e, nameMistake(err)
}

// EngineOptions are what a configuration says of the engine.
func EngineOptions(l *config.Loaded, log *slog.Logger) (engine.Options, error) {
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
		Dir: c.Data, Name: c.Proof.WantedName(), Logger: log, Identity: identity(c), Rescue: RescueCommand(l),
		Destination: func(ctx context.Context, log string) (*engine.Destination, error) {
			d, err := OpenDestination(ctx, c, log, false)
			if err != nil {
				return nil, err
			}
			return &d.Destination, nil
		},
		Spool: spool.Options{SegmentBytes: int64(c.Spool.SegmentBytes), ReserveBytes: int64(c.Spool.ReserveBytes), MaxBytes: int64(c.Spool.MaxBytes)},
		Upload: upload.Options{
			MaxConcurrency: c.Destination.MaxConcurrency,
			BackoffMin:     time.Duration(c.Upload.BackoffMin), BackoffMax: time.Duration(c.Upload.BackoffMax), AttemptTimeout: time.Duration(c.Upload.AttemptTimeout),
			Confirm: upload.Confirm(c.Upload.Confirm), ConfirmAfter: time.Duration(c.Upload.ConfirmAfter),
		},
		Scrub: engine.Scrub{Every: time.Duration(c.Scrub.Every), Sample: float64(c.Scrub.Sample)},
		Packs: engine.Packs{On: c.Layout == "pack", MaxBytes: int64(c.Pack.MaxBytes), MaxRecords: c.Pack.MaxRecords, MaxAge: time.Duration(c.Pack.MaxAge), FastAfter: time.Duration(c.Pack.FastAfter)},
		Proof: engine.Proof{
			Secret: secret, Signer: outsideSigner(c), QuantumSafe: c.Proof.MLDSA, Program: "indelible " + version.Of().Version, Config: l.Digest(),
			CheckpointEvery: time.Duration(c.Proof.CheckpointEvery), Witnesses: witnesses,
		},
	}, nil
}

// identity names the destination, however it was configured.
func identity(c *config.Config) string {
	if c.Destination.Endpoint == "" {
		return string(c.Destination.URL)
	}
	return fmt.Sprintf("%s at %s", c.Destination.URL, c.Destination.Endpoint)
}

// RescueCommand is the command line that rescues this data directory: it works from any
// directory and without the environment of this process, but for credentials.
func RescueCommand(l *config.Loaded) string {
	c := &l.Config
	words := []string{"indelible", "rescue"}
	if l.File != "" {
		file, err := filepath.Abs(l.File)
		if err != nil {
			file = l.File
		}
		words = append(words, "--config", file)
	}
	words = append(words, "--data", c.Data, "--to", string(c.Destination.URL))
	if c.Destination.Endpoint != "" {
		words = append(words, "--endpoint", string(c.Destination.Endpoint))
	}
	if c.Destination.Region != "" {
		words = append(words, "--region", c.Destination.Region)
	}
	for i, w := range words {
		words[i] = engine.ShellQuote(w)
	}
	return strings.Join(words, " ")
}

// Look opens what is there to be read, beside a process that may write it.
func Look(ctx context.Context, c *config.Config) (*engine.Components, error) {
	return engine.Look(ctx, c.Data, func(ctx context.Context) (*engine.Destination, error) {
		d, err := OpenDestination(ctx, c, "", true)
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
