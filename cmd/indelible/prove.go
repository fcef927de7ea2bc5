package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/daemon"
	"indelible/internal/proof"
)

func (c *cli) proveCmd() *cobra.Command {
	var ref refFlags
	var out, vkey string
	cmd := &cobra.Command{
		Use:   "prove KEY|ID|SEQ",
		Short: "Write an offline proof of one record",
		Long: `prove writes a small file that shows anyone who has the log's public key that this record
is in the log: its leaf, the path to the root, and the signed checkpoint. "indelible verify
--proof FILE --record FILE" checks it with no network.`,
		Example: `  indelible prove chatcmpl-1 -o chatcmpl-1.tlog-proof
  indelible prove 17`,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := ref.ref(args)
			if err != nil {
				return err
			}
			p, err := c.prove(cmd.Context(), which, vkey)
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
	ref.bind(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, whole or not at all")
	cmd.Flags().StringVar(&vkey, "vkey", "", "the log's public key, in a `FILE` (default: log.vkey of the data directory)")
	return cmd
}

func (c *cli) prove(ctx context.Context, ref catalog.Ref, vkey string) (*proof.OfflineProof, error) {
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	var row catalog.Found
	err = c.withService(ctx, func(s control.Service) error {
		row, err = s.Find(ctx, ref)
		return err
	})
	if err != nil {
		return nil, explain(ref.Name, err)
	}
	c.tellOthers(row)
	if row.Seq == 0 {
		return nil, fmt.Errorf("%q is in the bucket, but nothing says that it is a record of a log", ref.Name)
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
