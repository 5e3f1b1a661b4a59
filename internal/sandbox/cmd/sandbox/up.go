package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

func prepareUp(flags *flag.FlagSet, std streams) action {
	kubeconfig := flags.String("kubeconfig", "", "use the existing cluster of this `file` instead of starting one")
	awsAddress := flags.String("awssim-address", "", "`host:port` at which that cluster's pods reach this machine (port 4566)")
	release := releaseFlag(flags)
	events := flags.Bool("events", false, "with Argo Events, so that events start recycles")
	return func(ctx context.Context, o sandbox.Options, _ []string) error {
		p := progress.NewPrinter(std.err, std.terminal)
		o.Release, o.Kubeconfig, o.AWSAddress, o.Events, o.Progress = *release, *kubeconfig, *awsAddress, *events, p.Show
		c, err := sandbox.Up(ctx, o)
		p.Close()
		if err != nil {
			return err
		}
		explain(std.err, c)
		return nil
	}
}

func releaseFlag(flags *flag.FlagSet) *string {
	return flags.String("release", "", "`versions` of Kubernetes and Argo: current (default) or oldest, the oldest supported ones")
}

// explain tells what can be done now.
func explain(w io.Writer, c *sandbox.Cluster) {
	fmt.Fprintf(w, `
The sandbox is up: cluster %[1]q in %[2]s, worker nodes from Auto Scaling group %[3]q.

  eval "$(go run ./internal/sandbox/cmd/sandbox env)"     # this shell uses it from now on

  kubectl get nodes
  argo submit --from workflowtemplate/recycle-node --parameter node=NODE --watch
  aws autoscaling describe-auto-scaling-groups            # any AWS CLI or SDK; credentials do not matter
  curl $AWS_ENDPOINT_URL/_sim/calls                       # what AWS was asked so far

Logs are in %[4]s. End it with: make sandbox-down
`, c.ClusterName, c.Region, c.Group, c.Logs)
}

func prepareDown(_ *flag.FlagSet, std streams) action {
	return func(ctx context.Context, o sandbox.Options, _ []string) error {
		p := progress.NewPrinter(std.err, std.terminal)
		o.Progress = p.Show
		err := sandbox.Down(ctx, o)
		p.Close()
		return err
	}
}
