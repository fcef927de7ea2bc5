package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"indelible/internal/daemon"
)

func (c *cli) getCmd() *cobra.Command {
	var bucket, out string
	var attrs bool
	cmd := &cobra.Command{
		Use:   "get KEY|ID",
		Short: "Write one record's bytes, stored or still pending",
		Long: `get writes the bytes of one record to stdout, or to a file with -o. The record is
named by its key, its seq, its receipt, or the id at the end of its key.`,
		Example: `  indelible get 2026-11-24/time-10-00-00-000000_chatcmpl-1.json
  indelible get chatcmpl-1 -o record.json
  indelible get 17 --attrs`,
		Args: oneArg("KEY or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withReader(cmd.Context(), func(r daemon.Reader) error {
				err := c.get(cmd.Context(), r, bucket, args[0], out, attrs)
				if errors.Is(err, daemon.ErrNotFound) {
					return fmt.Errorf("%w: %q (\"indelible ls\" lists what there is)", err, args[0])
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&bucket, "bucket", "", "the `BUCKET` that the sender used (default: any)")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, whole or not at all")
	cmd.Flags().BoolVar(&attrs, "attrs", false, "everything but the body, as one JSON value")
	return cmd
}

func (c *cli) get(ctx context.Context, r daemon.Reader, bucket, name, out string, attrs bool) error {
	var write func(io.Writer) error
	if attrs {
		row, err := r.Find(ctx, bucket, name)
		if err != nil {
			return err
		}
		write = func(w io.Writer) error { return writeJSON(w, row) }
	} else {
		body, err := r.Body(ctx, bucket, name)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		write = func(w io.Writer) error { _, err := io.Copy(w, body); return err }
	}
	if out == "" || out == "-" {
		return write(c.stdout)
	}
	return writeFile(out, write)
}

// writeFile puts a file in place once all of it is written.
func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(cmp.Or(filepath.Dir(name), "."), ".indelible-get-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
