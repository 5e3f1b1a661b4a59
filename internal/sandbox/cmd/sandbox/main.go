// Sandbox brings up a local Kubernetes cluster with Argo Workflows and a simulated AWS, to try recycling nodes on.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr, terminal: progress.IsTerminal(os.Stderr)})
	stop()
	os.Exit(code)
}
