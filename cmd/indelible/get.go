package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/term"
)

func (c *cli) getCmd() *cobra.Command {
	var ref refFlags
	var out string
	var attrs bool
	cmd := &cobra.Command{
		Use:   "get KEY|ID|SEQ",
		Short: "Write one record's bytes, stored or still pending",
		Long: `get writes the bytes of one record to stdout, or to a file with -o. The record is
named by its key, its seq, its receipt, or an id that its key or its bytes hold: of the
call, LiteLLM's call id or the trace. A number is a seq; --seq, --key and --id say what the name is. A name that could mean several records is refused,
and they are listed. A terminal is shown control characters as escapes; a file or a pipe
gets the bytes.`,
		Example: `  indelible get 2026-11-24/time-10-00-00-000000_chatcmpl-1.json
  indelible get chatcmpl-1 -o record.json
  indelible get --seq 17 --attrs`,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := ref.ref(args)
			if err != nil {
				return err
			}
			return c.withService(cmd.Context(), func(s control.Service) error {
				return explain(which.Name, c.get(cmd.Context(), s, which, out, attrs))
			})
		},
	}
	ref.bind(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`: a regular file whole or not at all, a FIFO or device as it comes")
	cmd.Flags().BoolVar(&attrs, "attrs", false, "everything but the body, as one JSON value")
	return cmd
}

func (c *cli) get(ctx context.Context, s control.Reader, ref catalog.Ref, out string, attrs bool) error {
	var write func(io.Writer) error
	if attrs {
		found, err := s.Find(ctx, ref)
		if err != nil {
			return err
		}
		write = func(w io.Writer) error { return writeJSON(w, found) }
	} else {
		found, body, err := s.Open(ctx, ref)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		c.tellOthers(found)
		write = func(w io.Writer) error { _, err := io.Copy(w, body); return err }
	}
	if out == "" || out == "-" {
		return write(term.Safe(c.stdout))
	}
	return writeFile(out, write)
}
