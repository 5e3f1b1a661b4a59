// Command step runs one step of a recycle: see `step help`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// version is set by the build: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args, cli.System(version))
	stop()
	os.Exit(code)
}
