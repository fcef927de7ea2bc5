package main

import (
	"context"
	"errors"

	"indelible/internal/control"
	"indelible/internal/local"
)

// withService answers a command from the daemon that runs on the data directory, or
// from the directory and the destination themselves.
func (c *cli) withService(ctx context.Context, do func(control.Service) error) error {
	l, err := c.load()
	if err != nil {
		return err
	}
	s, err := local.Open(ctx, l)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}
