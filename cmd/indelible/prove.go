package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/local"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/setup"
)

func (c *cli) proveCmd() *cobra.Command {
	var ref refFlags
	var out, vkey, from string
	cmd := &cobra.Command{
		Use:   "prove KEY|ID|SEQ",
		Short: "Write an offline proof of one record",
		Long: `prove writes a small file that shows anyone who has the log's public key that this record
is in the log: its leaf, the path to the root, and the signed checkpoint. "indelible verify
--proof FILE --record FILE" checks it with no network. With --from it needs no data directory:
it reads some twenty objects of the log in a bucket, and takes a seq or a receipt.`,
		Example: `  indelible prove chatcmpl-1 -o chatcmpl-1.tlog-proof
  indelible prove 17
  indelible prove 17 --from s3://audit/llm --vkey log.vkey`,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := ref.ref(args)
			if err != nil {
				return err
			}
			p, err := c.prove(cmd.Context(), which, vkey, from)
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
	cmd.Flags().StringVar(&from, "from", "", "read the log in a `LOCATION`, a bucket or a copy of it: no data directory is needed")
	cmd.Flags().StringVar(&vkey, "vkey", "", "the log's public key, in a `FILE` (default: log.vkey of the data directory)")
	return cmd
}

func (c *cli) prove(ctx context.Context, ref catalog.Ref, vkey, from string) (*proof.OfflineProof, error) {
	l, err := c.loadFor(from)
	if err != nil {
		return nil, err
	}
	if from != "" {
		return proveFrom(ctx, l, ref, vkey, from)
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
	p, err := proveSeq(ctx, l, "", vkey, row.Seq)
	if err = local.UnprovenYet(err); errors.Is(err, proof.ErrUnproven) {
		return nil, fmt.Errorf("record %d is %s, and the checkpoint in the bucket does not cover it yet: try again in a minute", row.Seq, row.State)
	}
	if err == nil {
		err = p.Of(row.Key, row.SHA256)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// proveFrom proves a seq, or what a receipt names, from nothing but a bucket and a public key.
func proveFrom(ctx context.Context, l *config.Loaded, ref catalog.Ref, vkey, from string) (*proof.OfflineProof, error) {
	name, digest := ref.Name, ""
	if parts := strings.Split(name, "/"); len(parts) == 3 && len(parts[2]) == 64 { // a receipt: log/seq/sha256
		name, digest = parts[1], parts[2]
	}
	seq, err := strconv.ParseUint(name, 10, 64)
	if err != nil || ref.Kind != "" && ref.Kind != catalog.Seq {
		return nil, &usageError{problem: fmt.Sprintf("--from takes a seq or a receipt, and %q is neither: without a data directory there is no list of keys and ids", ref.Name)}
	}
	p, err := proveSeq(ctx, l, from, vkey, record.Seq(seq))
	if errors.Is(err, proof.ErrUnproven) {
		return nil, fmt.Errorf("record %d: %w", seq, err)
	}
	if err == nil && digest != "" {
		err = p.Of("", digest)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func proveSeq(ctx context.Context, l *config.Loaded, location, vkey string, seq record.Seq) (*proof.OfflineProof, error) {
	e, err := setup.OpenProofSource(ctx, l, location, vkey)
	if err != nil {
		return nil, err
	}
	p, err := proof.Prove(ctx, e.Store, e.Base, e.VKey, engine.PackReader{}, seq)
	return p, errors.Join(err, e.Close())
}
