// Package cli is the command line of the step image: one file per subcommand, each flags → options → one domain call →
// outputs. It is the only package that reads the environment, builds clients and knows exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
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
	HTTP     http.RoundTripper                 // to receivers of notifications and gates; nil means the default
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
	if isPlugin(args) {
		return runPlugin(ctx, args, streams)
	}
	var unknown error
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
			unknown = unknownCommand(c, name)
		},
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return printVersion(streams)
			}
			return listCommands(c)
		},
	}
	lifecycle := family("lifecycle", "end the wait of a terminating instance for its lifecycle hook")
	for _, s := range steps() {
		of := &app.Commands
		if strings.HasPrefix(s.name, "lifecycle ") {
			of = &lifecycle.Subcommands
		}
		*of = append(*of, s.command(streams))
	}
	app.Commands = append(app.Commands, lifecycle, completionCommand(app), versionCommand(streams))
	err := errors.Join(app.RunContext(ctx, args), unknown)
	if err != nil {
		printError(streams.Err, "step: ", err)
	}
	return exitCode(err)
}

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
	meant := closest(name, known, "") + c.Command.HelpName + " --help lists the "
	if c.App.Name == pluginName {
		return usageError{hint.Errorf(meant+"commands", "command %q is unknown", name)}
	}
	return usageError{hint.Errorf(meant+"steps", "step %q is unknown", strings.TrimPrefix(c.Command.HelpName+" "+name, "step "))}
}

// usageError is bad input: nothing was touched, and running it again is of no use.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// printError prints an error as people read it, behind the name of the program: one line, or one for each of several, and one more
// with what to do.
func printError(w io.Writer, prefix string, err error) {
	var shown reportedError
	if errors.As(err, &shown) {
		return
	}
	kind := "error: "
	if exitCode(err) == argo.ExitNotYet {
		kind = ""
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, _ = fmt.Fprintf(w, "%s%s%s\n", prefix, kind, printable(line))
	}
	if text := hint.Of(err); text != "" {
		_, _ = fmt.Fprintf(w, "%shint: %s\n", prefix, printable(text))
	}
}
