package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"indelible/internal/importer"
	"indelible/internal/local"
	"indelible/internal/logging"
	"indelible/internal/proof"
	"indelible/internal/term"
)

func (c *cli) packCmd() *cobra.Command {
	var o local.PackOptions
	var asJSON, always bool
	cmd := &cobra.Command{
		Use:   "pack PREFIX|LOCATION",
		Short: "Take objects that others wrote into the log, as packs",
		Long: `pack reads every object below a prefix of the destination, or of another bucket or directory, and takes
each that no log of Indelible wrote into the log: as a record under the object's own key, with its bytes,
headers and metadata, delivered as a row of a pack and proven like any record. Buckets that
LiteLLM wrote itself are found, searched and verified from then on, batch_*.jsonl files too.

The objects stay where they are. Each is taken once: <data>/imports/ has a manifest with a line an object (key,
ETag, seq, SHA-256), by which a call that was cut short goes on, and a later one takes only
what is new or has changed. Objects of Indelible's own are passed over.

It needs the data directory for itself. Beside a daemon that runs, give it one of its own with
--data DIR: that is another log in the same destination, which search and verify then name.
Another bucket is asked with the endpoint, region and credentials of the destination.`,
		Example: `  indelible pack litellm/ --dry-run
  indelible pack litellm/
  indelible pack s3://old-litellm-logs --to s3://audit/llm`,
		Args: oneArg("prefix or location (\"\" is the whole destination)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.From = args[0]
			p := c.newProgress(always)
			o.Progress = func(s importer.Sum, key string) {
				p.line(func() string {
					return fmt.Sprintf("%d objects, %d taken (%s), at %s", s.Seen, s.Taken, term.Bytes(s.Bytes), term.Quote(key))
				})
			}
			sum, err := local.Pack(ctx, l, o, logging.New(l.Config.Log.Format, l.Config.Log.Level, c.stderr))
			p.clear()
			if asJSON {
				err = errors.Join(writeJSON(c.stdout, sum), err)
			} else if err == nil || sum.Seen > 0 { // nothing is known of objects that it did not come to
				c.tellPacked(&sum, o.Dry)
			}
			if err != nil {
				return err
			}
			if sum.Failed > 0 || sum.Pending > 0 {
				return quietError{}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.Dry, "dry-run", false, "only say what would be taken; every object is asked for")
	cmd.Flags().StringVar(&o.Bucket, "bucket", "", "the `NAME` under which the S3 door shows the records (default: the bucket's own, or doors.s3.bucket)")
	bindProgress(cmd, &always)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	return cmd
}

func (c *cli) tellPacked(s *local.PackSum, dry bool) {
	verb := "taken"
	if dry {
		verb = "to be taken"
	}
	fmt.Fprintf(c.stdout, "%d objects %s (%s)", s.Taken, verb, term.Bytes(s.Bytes))
	if s.Taken > 0 && !dry {
		fmt.Fprintf(c.stdout, ", as %s", proof.SeqRange{First: s.First, Last: s.Last})
	}
	fmt.Fprintln(c.stdout)
	for _, part := range []struct {
		n    int64
		what string
	}{
		{s.Already, "were taken before"},
		{s.Own, "are records of Indelible already, and stay objects"},
		{s.Left, "have names that Indelible keeps for itself"},
	} {
		if part.n > 0 {
			fmt.Fprintf(c.stdout, "%d %s\n", part.n, part.what)
		}
	}
	for _, f := range s.Failures {
		fmt.Fprintf(c.stderr, "not taken: %s: %s\n", term.Quote(f.Key), term.Quote(f.Reason))
	}
	if s.Failed > 0 {
		fmt.Fprintf(c.stderr, "%d objects could not be taken; the same call looks at them again.\n", s.Failed)
	}
	if s.Pending > 0 {
		fmt.Fprintf(c.stderr, "%d records wait here to be delivered: the same call, or serve, delivers them.\n", s.Pending)
	}
	if s.Done && !dry && s.Taken+s.Already > 0 {
		fmt.Fprintf(c.stdout, "The originals stay where they are. Which object is which record: %s\n", s.Manifest)
	}
}
