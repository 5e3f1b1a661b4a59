package main

import (
	"context"
	"errors"
	"flag"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/demo"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

// prepareDemo brings a sandbox up, recycles a node on it, and takes it down again unless it was up before.
func prepareDemo(flags *flag.FlagSet, std streams) action {
	release := releaseFlag(flags)
	return func(ctx context.Context, o sandbox.Options, _ []string) error {
		o.Release = *release
		_, notUp := sandbox.Open(o)
		p := progress.NewPrinter(std.err, std.terminal)
		o.Progress = p.Show
		c, err := sandbox.Up(ctx, o)
		p.Close()
		if err != nil {
			return err
		}
		err = demo.Run(ctx, c, std.out)
		if notUp == nil {
			return err
		}
		down := sandbox.Down(context.WithoutCancel(ctx), o)
		p.Close()
		return errors.Join(err, down)
	}
}
