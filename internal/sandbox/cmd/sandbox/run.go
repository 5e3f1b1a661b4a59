package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox"
)

// streams are where a command writes: data to out, all that is for people to err.
type streams struct {
	out, err io.Writer
	terminal bool
}

// command is one subcommand. It declares its flags and returns what to do once they are read.
type command struct {
	name, arguments, summary string
	prepare                  func(*flag.FlagSet, streams) action
	hidden                   bool
}

type action func(ctx context.Context, o sandbox.Options, args []string) error

func commands() []command {
	return []command{
		{name: "up", summary: "start the sandbox, or bring a running one up to date", prepare: prepareUp},
		{name: "demo", summary: "recycle a node before your eyes, then stop the sandbox", prepare: prepareDemo},
		{name: "down", summary: "stop the sandbox and leave nothing running", prepare: prepareDown},
		{name: "status", summary: "show what runs, and what has ended", prepare: prepareStatus},
		{name: "env", summary: `print the environment of a running sandbox: eval "$(sandbox env)"`, prepare: prepareEnv},
		{name: "exec", arguments: "-- COMMAND…", summary: "run a command in that environment", prepare: prepareExec},
		{name: "awssim", summary: "serve the simulated AWS (the sandbox starts it)", prepare: prepareAWSSim, hidden: true},
	}
}

// Exit codes: 0 done, 1 failed, 2 not understood. exec passes on those of its command.
const (
	exitFailed = 1
	exitUsage  = 2
)

func run(ctx context.Context, args []string, std streams) int {
	if len(args) == 0 {
		usage(std.err)
		return exitUsage
	}
	if args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(std.out)
		return 0
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], std)
		}
	}
	fmt.Fprintf(std.err, "sandbox: unknown command %q\n", args[0])
	usage(std.err)
	return exitUsage
}

func (c command) run(ctx context.Context, args []string, std streams) int {
	flags := flag.NewFlagSet("sandbox "+c.name, flag.ContinueOnError)
	flags.SetOutput(std.err)
	flags.Usage = func() {
		fmt.Fprintf(std.err, "usage: sandbox %s [flags] %s\n\n%s\n\n", c.name, c.arguments, c.summary)
		flags.PrintDefaults()
	}
	var o sandbox.Options
	flags.StringVar(&o.State, "state", "", "`folder` for binaries, keys and logs (default: .sandbox in the checkout)")
	do := c.prepare(flags, std)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 && c.arguments == "" {
		fmt.Fprintf(std.err, "sandbox: %s takes no arguments, got %q\n", c.name, flags.Args())
		return exitUsage
	}
	err := do(ctx, o, flags.Args())
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if c.name == "exec" && errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		fmt.Fprintln(std.err, "sandbox: interrupted")
		return exitFailed
	}
	fmt.Fprintf(std.err, "sandbox: %v\n", err)
	if h := hint.Of(err); h != "" {
		fmt.Fprintf(std.err, "hint: %s\n", h)
	}
	return exitFailed
}

func usage(w io.Writer) {
	var b strings.Builder
	b.WriteString("usage: sandbox COMMAND [flags]\n\nA local Kubernetes cluster with Argo Workflows and a simulated AWS.\n\n")
	for _, c := range commands() {
		if !c.hidden {
			fmt.Fprintf(&b, "  %-7s %s\n", c.name, c.summary)
		}
	}
	b.WriteString("\nFlags of a command: sandbox COMMAND --help\n")
	fmt.Fprint(w, b.String())
}
