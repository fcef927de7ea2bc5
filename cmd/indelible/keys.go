package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/control"
	"indelible/internal/proof"
	"indelible/internal/setup"
)

func (c *cli) keysCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Show, create or rotate the key that signs the log",
		Long: `The key is made at the first start: log.key in the data directory signs the log, log.vkey
is its public half and all that an auditor needs. Keep a copy of both. If log.key is lost
the log grows no more, and everything up to its last checkpoint can be verified for ever.
With proof.key: "command:PROGRAM" a program signs, with a key in a KMS or HSM (docs/signer.md).`,
		Example: `  indelible keys show
  indelible keys rotate`,
	}
	cmd.AddCommand(c.keysShowCmd(), c.keysCreateCmd(), c.keysRotateCmd())
	return cmd
}

func (c *cli) keysShowCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Print the log's public key",
		Example: "  indelible keys show > log.vkey",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			b, err := os.ReadFile(filepath.Join(l.Config.Data, proof.PublicFile))
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s has no key yet: the first start of \"indelible serve\" makes one, and so does \"indelible keys create\"", l.Config.Data)
			}
			if err != nil {
				return err
			}
			vkey := strings.TrimSpace(string(b))
			if !asJSON {
				_, err = fmt.Fprintln(c.stdout, vkey)
				return err
			}
			old, err := os.ReadFile(filepath.Join(l.Config.Data, proof.OldFile))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			name, _, _ := strings.Cut(vkey, "+")
			return writeJSON(c.stdout, map[string]any{"log": name, "vkey": vkey, "old": slices.DeleteFunc(strings.Split(string(old), "\n"), func(s string) bool { return s == "" })})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value, with the keys before")
	return cmd
}

func (c *cli) keysCreateCmd() *cobra.Command {
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create [FILE]",
		Short: "Make a key before the first start",
		Long: `create makes a new signing key, readable by you alone: in the data directory, or in FILE,
for a secret manager (then proof.key_file or INDELIBLE_LOG_KEY hands it to serve). It prints
the public half. A key that is there already is never replaced: that is what rotate is for.
Where a program holds the key, create asks it for the public half and keeps that.`,
		Example: `  indelible keys create
  indelible keys create --name gateway-1 /run/secrets/log.key`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one FILE, but got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			if name != "" {
				if err := proof.CheckName(name); err != nil {
					return &usageError{problem: "--name: " + err.Error()}
				}
			}
			vkey, err := setup.CreateKey(cmd.Context(), l, name, append(args, "")[0])
			if err != nil {
				return err
			}
			return c.printKey(vkey, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	cmd.Flags().StringVar(&name, "name", "", "the log's `NAME` (default: proof.name, or a new one of this host)")
	return cmd
}

// printKey shows a new key's public half.
func (c *cli) printKey(vkey string, asJSON bool) error {
	if asJSON {
		name, _, _ := strings.Cut(vkey, "+")
		return writeJSON(c.stdout, map[string]string{"log": name, "vkey": vkey})
	}
	_, err := fmt.Fprintln(c.stdout, vkey)
	return err
}

func (c *cli) keysRotateCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Have the log change to a new key",
		Long: `rotate makes a new key and writes a leaf into the log that the old and the new one both
sign, so that an auditor who has either can follow. The old public key is kept in
log.vkey.old; the old secret is gone. It works beside a running daemon and without one.
Where a program holds the key, have it give a new one first: rotate changes to that.`,
		Example: "  indelible keys rotate",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withService(cmd.Context(), func(r control.Service) error {
				vkey, err := r.Rotate(cmd.Context())
				if err != nil {
					return err
				}
				fmt.Fprintln(c.stderr, "The log has changed to a new key. Give auditors this public half:")
				return c.printKey(vkey, asJSON)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	return cmd
}
