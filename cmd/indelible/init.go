package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/config"
	"indelible/internal/doctor"
	"indelible/internal/local"
	"indelible/internal/term"
)

func (c *cli) initCmd() *cobra.Command {
	var s config.Starter
	var noCheck bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write indelible.yaml, check it, and print the block for LiteLLM",
		Long: `init writes indelible.yaml into the working directory (--config FILE: elsewhere) after three
questions: where records end up, which S3 that is, and whether senders run on other machines.
What a flag tells is not asked, and where stdin is no terminal nothing is: then it is the
flags and the defaults. With --network it makes an access key and a token for senders. Then it
runs the checks of "indelible doctor", bucket and credentials included, and prints what
LiteLLM needs. A file that is there is never overwritten. It exits with 1 if a check failed;
the file stays.`,
		Example: `  indelible init
  indelible init --to s3://audit/llm --region eu-west-1
  indelible init --to s3://audit --endpoint http://minio:9000 --network --config /etc/indelible.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file := cmp.Or(c.configFile, "indelible.yaml")
			if err := free(file); err != nil {
				return err
			}
			s.Data, s.URL, s.Endpoint, s.Region = c.settings["data"], c.settings["to"], c.settings["endpoint"], c.settings["region"]
			if term.IsTerminal(os.Stdin) {
				if err := ask(os.Stdin, c.stderr, &s, cmd.Flags().Changed("network")); err != nil {
					return err
				}
			}
			if err := sound(s); err != nil {
				return err
			}
			if s.Network {
				s.Key.ID, s.Key.Secret, s.HTTPToken = "litellm", config.NewSecret(rand.Text()), config.NewSecret(rand.Text())
			}
			l, err := begin(file, s)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.stdout, "Wrote %s.\n", file)
			if !noCheck {
				err = c.examine(cmd.Context(), l)
			}
			return errors.Join(c.tellNext(cmd.Context(), l, s, file), err)
		},
	}
	cmd.Flags().BoolVar(&s.Network, "network", false, "take records from other machines too, with keys that are made")
	cmd.Flags().BoolVar(&noCheck, "no-check", false, "check neither disk nor bucket")
	return cmd
}

// free refuses a name that is taken, before anything is asked.
func free(file string) error {
	_, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = fs.ErrExist
	}
	return &usageError{problem: fmt.Sprintf("%s: %v: it is never overwritten", file, err), hint: "Name another file with --config FILE, or edit this one and run \"indelible config check\"."}
}

// errNoAnswer says that the terminal was closed in the middle of the questions.
var errNoAnswer = errors.New("no answer came: nothing was written")

// ask asks for what no flag has told.
func ask(in io.Reader, out io.Writer, s *config.Starter, networkTold bool) error {
	lines := bufio.NewReader(in)
	question := func(text, otherwise string) (string, error) {
		fmt.Fprintf(out, "%s [%s]: ", text, otherwise)
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", errNoAnswer
		}
		return strings.TrimSpace(line), nil
	}
	var err error
	if s.URL == "" {
		if s.URL, err = question("Where do records end up? s3://bucket/prefix, or a directory", "a directory in the data directory"); err != nil {
			return err
		}
	}
	if strings.HasPrefix(s.URL, "s3:") && s.Endpoint == "" && s.Region == "" {
		where, err := question("Which S3? A region of AWS such as eu-west-1, or the URL of another server", "what the environment says")
		if err != nil {
			return err
		}
		if strings.Contains(where, "://") {
			s.Endpoint = where
		} else {
			s.Region = where
		}
	}
	if !networkTold {
		answer, err := question("Do senders run on other machines? yes makes keys for them", "no")
		if err != nil {
			return err
		}
		s.Network = strings.HasPrefix(strings.ToLower(answer), "y")
	}
	return nil
}

// sound refuses answers that no configuration may hold, in the words of the flags.
func sound(s config.Starter) error {
	flags := map[string]string{}
	for name, value := range map[string]string{"data": s.Data, "to": s.URL, "endpoint": s.Endpoint, "region": s.Region} {
		if value != "" {
			flags[name] = value
		}
	}
	_, err := config.Load(config.Input{File: os.DevNull, Flags: flags})
	return err
}

// begin writes the file, and loads it: what serve would refuse is not left there.
func begin(name string, s config.Starter) (l *config.Loaded, err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // it may hold secrets
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(name))
		}
	}()
	_, err = f.WriteString(s.File())
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(name))); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return config.Load(config.Input{File: name})
}

// examine runs the doctor's checks and shows them.
func (c *cli) examine(ctx context.Context, l *config.Loaded) error {
	var failed bool
	doctor.Run(ctx, l, func(check doctor.Check) {
		failed = failed || check.State == doctor.Failed
		c.printCheck(check)
	})
	if failed {
		fmt.Fprintf(c.stderr, "indelible: a check failed: do what it says, and run \"indelible doctor --config %s\"\n", l.File)
		return quietError{}
	}
	return nil
}

// tellNext says what to do with the file.
func (c *cli) tellNext(ctx context.Context, l *config.Loaded, s config.Starter, file string) error {
	block, err := local.LiteLLM(ctx, l, false, false)
	if err != nil {
		return err
	}
	run := "indelible serve"
	if file != "indelible.yaml" {
		run += " --config " + file
	}
	fmt.Fprintf(c.stdout, "\nStart it:\n\n  %s\n\nPaste into LiteLLM's config.yaml:\n\n", run)
	for line := range strings.Lines(block) {
		fmt.Fprintf(c.stdout, "  %s", line)
	}
	fmt.Fprint(c.stdout, "\nPut into LiteLLM's environment:\n\n  DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1\n")
	if s.Network {
		fmt.Fprintf(c.stdout, "  INDELIBLE_SECRET=%s\n\nOn other machines, put this machine's name into s3_endpoint_url.\n", s.Key.Secret.Reveal())
	}
	fmt.Fprint(c.stdout, "\nSo that no answered call is without a record: \"indelible litellm config --callback\".\n")
	return nil
}
