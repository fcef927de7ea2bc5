package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"indelible/internal/config"
	"indelible/internal/term"
	"indelible/internal/version"
)

// Exit statuses, as docs and tests know them.
const (
	exitOK    = 0
	exitWrong = 1 // it ran, and something is wrong
	exitCall  = 2 // the call was wrong: flag, file, configuration
)

// cli is what the commands share: the root's flags and where output goes.
type cli struct {
	stdout, stderr io.Writer
	configFile     string
	settings       map[string]string // the flags given that are settings, by name
}

// usageError is a wrong call: exit 2.
type usageError struct{ problem, hint string }

func (e *usageError) Error() string { return e.problem }

// quietError ends with exit 1 after the command has said everything itself.
type quietError struct{}

func (quietError) Error() string { return "" }

// run executes one call and returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	c := &cli{stdout: stdout, stderr: stderr, settings: map[string]string{}}
	root := c.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	return c.report(cmd, err)
}

// report writes an error, each of its parts on a line, and returns the status.
func (c *cli) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitOK
	}
	if _, quiet := errors.AsType[quietError](err); quiet {
		return exitWrong
	}
	c.complain(err)
	if u, ok := errors.AsType[*usageError](err); ok {
		if u.hint != "" {
			fmt.Fprintf(c.stderr, "%s\n", u.hint)
		}
		fmt.Fprintf(c.stderr, "Run \"%s --help\" for what it takes.\n", cmd.CommandPath())
		return exitCall
	}
	if _, ok := errors.AsType[*config.Error](err); ok {
		return exitCall
	}
	return exitWrong
}

// complain writes an error: each line of its text, and below a mistake in the file its place.
func (c *cli) complain(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok && errors.Join(joined.Unwrap()...).Error() == err.Error() {
		for _, err := range joined.Unwrap() {
			c.complain(err)
		}
		return
	}
	for line := range strings.Lines(term.Plain(term.QuoteLines(err.Error()))) {
		fmt.Fprintf(c.stderr, "indelible: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if mistake, ok := err.(*config.Error); ok && mistake.Excerpt != "" {
		for line := range strings.Lines(mistake.Excerpt) {
			fmt.Fprintf(c.stderr, "    %s\n", strings.TrimSuffix(term.Quote(strings.TrimSuffix(line, "\n")), "\n"))
		}
	}
}

// root is the whole command line.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "indelible",
		Short: "An audit log for LLM traffic that never loses a record, and can prove it",
		Long: `indelible takes records of LLM calls at its doors, acknowledges each one once it
is on the disk, delivers it to a bucket, and gives up none.`,
		Example: `  indelible serve
  indelible serve --to s3://audit/llm
  indelible status`,
		Version:       version.Of().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().StringVar(&c.configFile, "config", "", "configuration `FILE` [INDELIBLE_CONFIG] (default indelible.yaml where there is one)")
	c.bind(root, root.PersistentFlags(), func(f config.Field) bool { return f.Common })
	root.AddCommand(
		c.initCmd(), c.serveCmd(), c.statusCmd(), c.doctorCmd(), c.configCmd(),
		c.getCmd(), c.lsCmd(), c.redriveCmd(), c.rescueCmd(), c.verifyCmd(), c.proveCmd(), c.reconcileCmd(), c.keysCmd(),
		c.searchCmd(), c.tailCmd(), c.statsCmd(), c.exportCmd(), c.replayCmd(), c.rebuildCmd(), c.packCmd(), c.expireCmd(),
		c.litellmCmd(), c.demoCmd(), c.versionCmd(),
	)
	root.SetVersionTemplate("indelible {{.Version}}\n")
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate(), term.Width(c.stdout)))
	root.SetHelpCommand(c.helpCmd(root))
	root.InitDefaultCompletionCmd("completion")
	finish(root, term.StyleOf(c.stdout))
	return root
}

// usageTemplate is a usage template in which the flags of all commands are one line, but for the root's
// own help, and in which flags are described within the terminal's width, if there is one.
func usageTemplate(template string, width int) string {
	const global = "{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}"
	template = strings.Replace(template, "Global Flags:\n"+global, "Every command also takes --config, --data, --to, --endpoint and --region:\n\"indelible help\" says what they are.", 1)
	return strings.Replace(template, "{{.LocalFlags.FlagUsages ", fmt.Sprintf("{{.LocalFlags.FlagUsagesWrapped %d ", width), 1)
}

// fit breaks the lines of a command's description to the terminal's width. A paragraph in which a line is indented
// keeps its lines.
func fit(style term.Style, text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if p = "\n" + p; !strings.Contains(p, "\n ") && !strings.Contains(p, "\n\t") {
			paragraphs[i] = style.Wrap(0, strings.ReplaceAll(p[1:], "\n", " "))
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// finish makes every command that only holds others refuse unknown ones, and
// gives cobra's own commands an example. It fits descriptions to the terminal.
func finish(cmd *cobra.Command, style term.Style) {
	for _, sub := range cmd.Commands() {
		finish(sub, style)
	}
	if term.IsTerminal(cmd.OutOrStdout()) {
		cmd.Long = fit(style, cmd.Long)
	}
	completeFlags(cmd)
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args, cmd.RunE = cobra.ArbitraryArgs, group
	}
	if cmd.Example == "" {
		cmd.Example = "  " + cmd.CommandPath()
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{problem: err.Error()}
			}
			return nil
		}
	}
}

// noArgs refuses arguments, in words of ours.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// oneArg wants exactly one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one %s, but got %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// group answers for a command that has only subcommands.
func group(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	e := &usageError{problem: fmt.Sprintf("unknown command %q for %q", name, cmd.CommandPath())}
	if near := config.Suggest(name, known); near != "" {
		e.hint = fmt.Sprintf("Did you mean %q?", cmd.CommandPath()+" "+near)
	}
	return e
}

// flagError turns a complaint of the flag parser into a usage error, with the
// flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	e := &usageError{problem: err.Error()}
	if missing, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if missing.GetSpecifiedName() == "spool" {
			return &usageError{problem: "--spool: " + config.SpoolPlace + "; leave it out"}
		}
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := config.Suggest(missing.GetSpecifiedName(), known); near != "" {
			e.hint = fmt.Sprintf("Did you mean --%s?", near)
		}
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		e.problem = fmt.Sprintf("--%s: %v", invalid.GetFlag().Name, invalid.Unwrap())
		if number, ok := errors.AsType[*strconv.NumError](err); ok {
			e.problem = fmt.Sprintf("--%s: want a number, not %s", invalid.GetFlag().Name, quoted(number.Num))
		}
	}
	return e
}

// helpCmd is cobra's help command, strict about topics.
func (c *cli) helpCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show what a command does and takes",
		Example: "  indelible help serve",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			return cmd.Help()
		},
	}
}

// settingFlag hands a flag's text to the configuration, unparsed: Load checks
// it together with everything else.
type settingFlag struct {
	field config.Field
	into  map[string]string
}

func (f settingFlag) String() string     { return "" }
func (f settingFlag) Type() string       { return f.field.Arg }
func (f settingFlag) Set(s string) error { f.into[f.field.Flag] = s; return nil }

// bind adds the flags of the settings that want is true for.
func (c *cli) bind(cmd *cobra.Command, flags *pflag.FlagSet, want func(config.Field) bool) {
	for _, f := range config.Fields() {
		if f.Flag == "" || !want(f) {
			continue
		}
		usage := f.Usage
		if f.Env != "" {
			usage += " [" + f.Env + "]"
		}
		flags.Var(settingFlag{f, c.settings}, f.Flag, usage)
		flags.Lookup(f.Flag).DefValue = f.Default
		complete(cmd, f)
	}
}

// completeFlags has a shell complete the values of a command's own flags, by what stands for them
// in its help: choices, a point in time, a file, or else nothing.
func completeFlags(cmd *cobra.Command) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if _, done := cmd.GetFlagCompletionFunc(f.Name); done || f.NoOptDefVal != "" {
			return
		}
		var values []string
		switch arg, _ := pflag.UnquoteUsage(f); {
		case strings.Contains(arg, "FILE"), strings.Contains(arg, "LOCATION"):
			return // names of files, which a shell knows
		case strings.Contains(arg, "|"):
			values = strings.Split(arg, "|")
		case arg == "WHEN":
			values = []string{"1h", "24h", "7d", "30d"}
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return values, cobra.ShellCompDirectiveNoFileComp
		}) // the flag is there, and has none
	})
}

// complete has a shell complete the values of a setting's flag.
func complete(cmd *cobra.Command, f config.Field) {
	values := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return f.Values(), cobra.ShellCompDirectiveNoFileComp
	}
	switch f.Arg {
	case "DIR":
		_ = cmd.MarkFlagDirname(f.Flag) // the flag is there
		return
	case "URL":
		values = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"s3://", "file:///"}, cobra.ShellCompDirectiveNoSpace
		}
		if f.Flag == "endpoint" {
			values = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return []string{"https://", "http://127.0.0.1:"}, cobra.ShellCompDirectiveNoSpace
			}
		}
	}
	_ = cmd.RegisterFlagCompletionFunc(f.Flag, values)
}

// load reads the effective configuration of this call. Where it names no destination, it is
// the one of the last serve on the data directory.
func (c *cli) load() (*config.Loaded, error) {
	return c.loadFor("")
}

// loadFor is load for a command that reads a location in place of the destination; "": it does not.
func (c *cli) loadFor(location string) (*config.Loaded, error) {
	return config.Load(config.Input{File: c.configFile, Flags: c.settings, Remember: true, Location: location})
}

// loadServe is load for what serve would do.
func (c *cli) loadServe() (*config.Loaded, error) {
	return config.Load(config.Input{File: c.configFile, Flags: c.settings})
}
