package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"indelible/internal/daemon"
)

// withReader answers a command from the daemon that runs on the data
// directory, or from the directory and the destination themselves.
func (c *cli) withReader(ctx context.Context, do func(daemon.Reader) error) error {
	l, err := c.load()
	if err != nil {
		return err
	}
	r, err := daemon.Open(ctx, l)
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// writeJSON writes one value on one line.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
