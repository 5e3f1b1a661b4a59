// Package cli is the command line of the step image: one file per subcommand, each flags → options → one domain call →
// outputs. It is the only package that reads the environment, builds clients and knows exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Streams is all that a run touches of its process, besides flags and environment. Connect builds the clients; tests put
// their own in its place.
type Streams struct {
	In       io.Reader // nil means stdin
	Out, Err io.Writer
	Connect  func(context.Context, Options) (*Clients, error)
	Jitter   func(time.Duration) time.Duration // of waits; nil means at random
	Version  string
}

// System returns the streams of the running process. An empty version means the one that the build recorded.
func System(version string) Streams {
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version = info.Main.Version
	}
	return Streams{Out: os.Stdout, Err: os.Stderr, Connect: Connect, Version: version}
}

// Run runs one subcommand and returns the process's exit code.
func Run(ctx context.Context, args []string, streams Streams) int {
	code := argo.ExitDone
	app := &cli.App{
		Name:  "step",
		Usage: "take an EKS worker node out of service and replace it, one step at a time",
		Description: "Steps in order: standby, taint, drain, evict, retire. settle puts things right after a failure, restore brings a\n" +
			"node back. Each step may be killed and run again at any time. Exit codes: 0 done, 1 failed, 2 bad usage,\n" +
			"75 not done yet (run it again). Every flag can be given as an environment variable, and every step takes those of\n" +
			"a whole recycle; its help shows the ones that it uses.",
		HideVersion:    true, // --version prints what the subcommand prints
		Flags:          []cli.Flag{&cli.BoolFlag{Name: "version", Usage: "print the version"}},
		Reader:         streams.In,
		Writer:         streams.Out,
		ErrWriter:      streams.Err,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   badUsage,
		CommandNotFound: func(c *cli.Context, name string) {
			code = argo.ExitUsage
			printError(streams.Err, unknownCommand(c, name))
		},
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return printVersion(streams)
			}
			return listCommands(c)
		},
	}
	for _, s := range steps() {
		parent, _, nested := strings.Cut(s.name, " ")
		if !nested {
			app.Commands = append(app.Commands, s.command(streams))
			continue
		}
		i := slices.IndexFunc(app.Commands, func(c *cli.Command) bool { return c.Name == parent })
		if i < 0 {
			i, app.Commands = len(app.Commands), append(app.Commands, family(parent, familyUsage[parent]))
		}
		app.Commands[i].Subcommands = append(app.Commands[i].Subcommands, s.command(streams))
	}
	app.Commands = append(app.Commands, completionCommand(app), versionCommand(streams))
	if err := app.RunContext(ctx, args); err != nil {
		printError(streams.Err, err)
		return exitCode(err)
	}
	return code
}

var familyUsage = map[string]string{"lifecycle": "end the wait of a terminating instance for its lifecycle hook"}

// family is the command that others hang from. Alone it lists them.
func family(name, usage string, of ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, Subcommands: of, HideHelpCommand: true, OnUsageError: badUsage, Action: listCommands}
}

// listCommands is what a command does that is none itself.
func listCommands(c *cli.Context) error {
	if name := c.Args().First(); name != "" {
		return unknownCommand(c, name)
	}
	return cli.ShowSubcommandHelp(c)
}

func versionCommand(streams Streams) *cli.Command {
	return &cli.Command{Name: "version", Usage: "print the version", Action: func(*cli.Context) error { return printVersion(streams) }}
}

func printVersion(streams Streams) error {
	_, err := fmt.Fprintln(streams.Out, streams.Version)
	return err
}

// badUsage is the error of a flag that the library refused.
func badUsage(c *cli.Context, err error, _ bool) error {
	flag := ""
	if _, name, unknown := strings.Cut(err.Error(), "flag provided but not defined: -"); unknown {
		flag = closest(name, flagNames(c.Command.Flags), "--")
	}
	return usageError{hint.Wrap(err, flag+c.Command.HelpName+" --help lists the flags")}
}

func unknownCommand(c *cli.Context, name string) error {
	var known []string
	for _, command := range c.Command.VisibleCommands() {
		known = append(known, command.Name)
	}
	full := strings.TrimPrefix(c.Command.HelpName+" "+name, "step ")
	return usageError{hint.Errorf(closest(name, known, "")+c.Command.HelpName+" --help lists the steps", "step %q is unknown", full)}
}

// usageError is bad input: nothing was touched, and running it again is of no use.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// printError prints an error as people read it: one line, and a second one with what to do.
func printError(w io.Writer, err error) {
	var shown reportedError
	if errors.As(err, &shown) {
		return
	}
	kind := "error: "
	if exitCode(err) == argo.ExitNotYet {
		kind = ""
	}
	_, _ = fmt.Fprintf(w, "step: %s%v\n", kind, err)
	if text := hint.Of(err); text != "" {
		_, _ = fmt.Fprintf(w, "step: hint: %s\n", text)
	}
}
