package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/record"
	"indelible/internal/term"
)

// lsOptions are the flags of ls.
type lsOptions struct {
	catalog.ListOptions
	state, since, until string
	json, long          bool
}

func (c *cli) lsCmd() *cobra.Command {
	var o lsOptions
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List keys with seq, time, size and state, newest first",
		Long: `ls lists the records whose keys start with PREFIX, or all, newest first: those that are
stored, and those that are acknowledged and still on their way. With the destination away
it lists what is on this disk, says what is missing, and exits with 1. "indelible search"
looks for what records say.`,
		Example: `  indelible ls 2026-11-24/
  indelible ls --bucket audit --limit 0 --json
  indelible ls --state quarantined
  indelible ls --since 24h --long`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one PREFIX, but got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Limit < 0 || o.Limit > catalog.MaxNewest {
				return &usageError{problem: fmt.Sprintf("--limit: want 0 to %d", catalog.MaxNewest)}
			}
			if len(args) == 1 {
				o.Prefix = args[0]
			}
			if err := o.parse(); err != nil {
				return err
			}
			return c.withService(cmd.Context(), func(s control.Service) error {
				return c.ls(cmd.Context(), s, o)
			})
		},
	}
	cmd.Flags().StringVar(&o.Bucket, "bucket", "", "the `BUCKET` that the sender used (default: all)")
	cmd.Flags().IntVar(&o.Limit, "limit", 100, "how many, the newest `N`; 0: all, by bucket and key")
	cmd.Flags().StringVar(&o.state, "state", "", "only records in this state: `"+strings.Join(lsStates, "|")+"`")
	cmd.Flags().StringVar(&o.since, "since", "", "only records that arrived since `WHEN`: a duration such as 30d, or a time in RFC 3339")
	cmd.Flags().StringVar(&o.until, "until", "", "and before `WHEN`")
	cmd.Flags().BoolVar(&o.long, "long", false, "door, source and SHA-256 as well")
	cmd.Flags().BoolVar(&o.json, "json", false, "one JSON value a line")
	return cmd
}

// lsStates are the states that ls can select.
var lsStates = []string{string(record.Pending), string(record.Stored), string(record.Proven), string(record.Quarantined), string(record.Deferred)}

// parse takes the filters over into the options.
func (o *lsOptions) parse() (err error) {
	if o.state != "" && !slices.Contains(lsStates, o.state) {
		return &usageError{problem: fmt.Sprintf("--state: %q is none of %s", o.state, strings.Join(lsStates, ", "))}
	}
	o.State = record.State(o.state)
	if o.Since, err = when(o.since); err != nil {
		return &usageError{problem: "--since: " + err.Error()}
	}
	if o.Until, err = when(o.until); err != nil {
		return &usageError{problem: "--until: " + err.Error()}
	}
	return nil
}

// lsFlush is after how many rows a list is shown: columns are aligned within that many.
const lsFlush = 500

func (c *cli) ls(ctx context.Context, s control.Reader, o lsOptions) error {
	header := []string{"SEQ", "TIME", "SIZE", "STATE", "BUCKET", "KEY"}
	if o.long {
		header = []string{"SEQ", "TIME", "SIZE", "STATE", "DOOR", "SOURCE", "SHA-256", "BUCKET", "KEY"}
	}
	style := term.StyleOf(c.stdout)
	for i := range header {
		header[i] = style.Bold(header[i])
	}
	table := term.NewTable(header, 1, 3)
	shown := 0
	var failed error
	sum, err := s.List(ctx, o.ListOptions, func(row catalog.Row) bool {
		shown++
		if o.json {
			failed = writeJSON(c.stdout, row)
			return failed == nil
		}
		table.Row(cells(row, o.long, style)...)
		if shown%lsFlush == 0 {
			failed = table.Flush(c.stdout)
		}
		return failed == nil
	})
	if shown > 0 && !o.json && failed == nil {
		failed = table.Flush(c.stdout)
	}
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	if !o.json {
		c.lsTotal(shown, sum)
	}
	if sum.Missing != "" {
		return fmt.Errorf("the list has what is on this disk: what is stored could not be listed: %s (\"indelible status\" says how the destination is)", sum.Missing)
	}
	return nil
}

// lsTotal says how many there are, where the list does not.
func (c *cli) lsTotal(shown int, sum catalog.Summary) {
	switch total := max(sum.Total, shown); {
	case total == 0:
		fmt.Fprintln(c.stderr, "No records.")
	case total == 1:
		fmt.Fprintln(c.stderr, "1 record.")
	case total > shown:
		fmt.Fprintf(c.stderr, "The newest %d of %d records; --limit 0 lists all.\n", shown, total)
	default:
		fmt.Fprintf(c.stderr, "%d records.\n", total)
	}
}

func cells(row catalog.Row, long bool, style term.Style) []string {
	seq := "-"
	if row.Seq > 0 {
		seq = fmt.Sprint(row.Seq)
	}
	cells := []string{seq, row.Time.UTC().Format(time.RFC3339), term.Bytes(row.Size), stateText(row.State, style)}
	if long {
		cells = append(cells, term.Quote(row.Door), term.Quote(row.Source), row.SHA256)
	}
	bucket := "-" // of a door that knows none
	if row.Bucket != "" {
		bucket = term.Quote(row.Bucket)
	}
	return append(cells, bucket, term.Quote(row.Key))
}

func stateText(s record.State, style term.Style) string {
	switch s {
	case record.Pending:
		return style.Warn(string(s))
	case record.Quarantined, record.Deferred:
		return style.Bad(string(s))
	case record.Proven:
		return style.Good(string(s))
	}
	return string(s)
}
