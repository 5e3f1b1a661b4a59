package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
)

func prepareStatus(_ *flag.FlagSet, std streams) action {
	return func(ctx context.Context, o sandbox.Options, _ []string) error {
		s, err := sandbox.Inspect(ctx, o)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		for _, p := range s.Processes {
			state := "running"
			if !p.Alive {
				state = "ENDED"
			}
			fmt.Fprintf(table, "%s\t%s\tpid %d\tsince %s\t%s\n", p.Name, state, p.PID, p.Started.Local().Format(time.TimeOnly), p.LogPath)
		}
		table.Flush()
		for _, p := range s.Processes {
			if !p.Alive {
				fmt.Fprintf(std.out, "\nlast lines of %s:\n%s\n", p.LogPath, p.LastLines)
			}
		}
		if s.Problem != "" {
			return errors.New(s.Problem)
		}
		if s.Cluster == nil {
			fmt.Fprintln(std.out, "no sandbox is up")
			return nil
		}
		fmt.Fprintf(std.out, "\nKUBECONFIG=%s\nAWS_ENDPOINT_URL=%s\n", s.Cluster.Kubeconfig, s.Cluster.AWSEndpoint)
		return nil
	}
}

func prepareEnv(_ *flag.FlagSet, std streams) action {
	return func(_ context.Context, o sandbox.Options, _ []string) error {
		c, err := sandbox.Open(o)
		if err != nil {
			return err
		}
		for _, v := range c.Env("") {
			name, value, _ := strings.Cut(v, "=")
			if name == "PATH" {
				fmt.Fprintf(std.out, "export PATH=%s:\"$PATH\"\n", quote(value))
				continue
			}
			fmt.Fprintf(std.out, "export %s=%s\n", name, quote(value))
		}
		return nil
	}
}

// quote makes one word of the shell's of any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func prepareExec(_ *flag.FlagSet, std streams) action {
	return func(ctx context.Context, o sandbox.Options, args []string) error {
		if len(args) == 0 {
			return errors.New("exec needs a command, such as: sandbox exec -- kubectl get nodes")
		}
		c, err := sandbox.Open(o)
		if err != nil {
			return err
		}
		// The command is looked up where it will look things up itself.
		for _, v := range c.Env(os.Getenv("PATH")) {
			name, value, _ := strings.Cut(v, "=")
			if err := os.Setenv(name, value); err != nil {
				return fmt.Errorf("setting %q: %w", name, err)
			}
		}
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, std.out, std.err
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("running %q: %w", args[0], err)
		}
		return nil
	}
}
