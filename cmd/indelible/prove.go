package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"indelible/internal/daemon"
	"indelible/internal/proof"
)

func (c *cli) proveCmd() *cobra.Command {
	var bucket, out, vkey string
	cmd := &cobra.Command{
		Use:   "prove KEY|ID",
		Short: "Write an offline proof of one record",
		Long: `prove writes a small file that shows anyone who has the log's public key that this record
is in the log: its leaf, the path to the root, and the signed checkpoint. "indelible verify
--proof FILE --record FILE" checks it with no network.`,
		Example: `  indelible prove chatcmpl-1 -o chatcmpl-1.tlog-proof
  indelible prove 17`,
		Args: oneArg("KEY or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := c.prove(cmd.Context(), bucket, args[0], vkey)
			if err != nil {
				return err
			}
			write := func(w io.Writer) error { _, err := w.Write(p.Encode()); return err }
			if out == "" || out == "-" {
				return write(c.stdout)
			}
			return writeFile(out, write)
		},
	}
	cmd.Flags().StringVar(&bucket, "bucket", "", "the `BUCKET` that the sender used (default: any)")
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, whole or not at all")
	cmd.Flags().StringVar(&vkey, "vkey", "", "the log's public key, in a `FILE` (default: log.vkey of the data directory)")
	return cmd
}

func (c *cli) prove(ctx context.Context, bucket, name, vkey string) (*proof.OfflineProof, error) {
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	var row daemon.Row
	err = c.withReader(ctx, func(r daemon.Reader) error {
		row, err = r.Find(ctx, bucket, name)
		return err
	})
	if errors.Is(err, daemon.ErrNotFound) {
		return nil, fmt.Errorf("%w: %q (\"indelible ls\" lists what there is)", err, name)
	}
	if err != nil {
		return nil, err
	}
	if row.Seq == 0 {
		return nil, fmt.Errorf("%q is in the bucket, but nothing says that it is a record of a log", name)
	}
	e, err := daemon.OpenEvidence(ctx, l, "", vkey)
	if err != nil {
		return nil, err
	}
	p, err := proof.Prove(ctx, e.Store, e.Base, e.VKey, row.Seq)
	if err = errors.Join(err, e.Close()); errors.Is(err, proof.ErrUnproven) {
		return nil, fmt.Errorf("record %d is %s, and the checkpoint in the bucket does not cover it yet: try again in a minute", row.Seq, row.State)
	}
	return p, err
}
