package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/capture"
	"indelible/internal/layout/pack"
	"indelible/internal/otlp"
	"indelible/internal/proof"
	"indelible/internal/query/index"
	"indelible/internal/spool"
	"indelible/internal/store/dir"
	"indelible/internal/version"
)

// format is one that this binary writes, and its version.
type format struct {
	name    string
	version json.Number
}

// formats are all those that are read by other versions of this binary, or by others.
func formats() []format {
	number := func(n int) json.Number { return json.Number(strconv.Itoa(n)) }
	return []format{
		{"spool", number(spool.Version)},
		{"leaf", proof.LeafVersion},
		{"pack", pack.Version},
		{"exchange", number(capture.Version)},
		{"otlp", number(otlp.Version)},
		{"attributes", number(dir.AttributesVersion)},
		{"index", number(index.Version)},
	}
}

func (c *cli) versionCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show version, commit, Go version and the formats written",
		Long: `version shows what this binary is, and the version of each format it writes: spool (the queue
in the data directory), leaf (an entry of the log), pack (a Parquet file of many records), exchange
(a record of the proxy door), otlp (a record of the OTLP door), attributes (the files beside the
objects of a directory as destination) and index (the local index). The log, its checkpoints and its
proofs are those of C2SP: tlog-tiles, tlog-checkpoint and tlog-proof.`,
		Example: "  indelible version --json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version.Of()
			if asJSON {
				all := map[string]json.Number{}
				for _, f := range formats() {
					all[f.name] = f.version
				}
				return writeJSON(c.stdout, struct {
					version.Build
					Formats map[string]json.Number `json:"formats"`
				}{v, all})
			}
			var all []string
			for _, f := range formats() {
				all = append(all, f.name+" "+f.version.String())
			}
			_, err := fmt.Fprintf(c.stdout, "indelible %s\ncommit    %s\ngo        %s %s/%s\nformats   %s\n",
				v.Version, v.Commit, v.Go, runtime.GOOS, runtime.GOARCH, strings.Join(all, ", "))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	return cmd
}
