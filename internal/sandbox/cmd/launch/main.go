// Launch compiles the sandbox's command, telling how long that takes, and becomes it: `go run` would be silent for minutes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/programs"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	command, err := build(ctx)
	stop()
	if err == nil {
		// On success this process is the command from here on.
		err = syscall.Exec(command, append([]string{"sandbox"}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintf(os.Stderr, "launch: %v\n", err)
	if h := hint.Of(err); h != "" {
		fmt.Fprintf(os.Stderr, "hint: %s\n", h)
	}
	os.Exit(1)
}

func build(ctx context.Context) (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	printer := progress.NewPrinter(os.Stderr, progress.IsTerminal(os.Stderr))
	defer printer.Close()
	b := programs.Builder{Root: root, Release: programs.Current(), Cache: filepath.Join(root, ".sandbox", "cache"), Progress: func(line string) {
		printer.Show(progress.Line{Text: "the sandbox's command: " + line, Passing: true})
	}}
	return b.Command(ctx)
}
