package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/urfave/cli/v2"
)

func reapFlags() []cli.Flag {
	return []cli.Flag{
		length("older-than", 7*24*time.Hour, "how long ago an instance must have been retired"),
		&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Usage: "terminate at most `N` instances; 0 means all"},
	}
}

func readReap(c *cli.Context, o *Options) error {
	o.Reap.Limit, o.Reap.OlderThan = c.Int("limit"), duration(c, "older-than")
	switch {
	case o.Reap.OlderThan < fleet.Youngest:
		return fmt.Errorf("--older-than must be at least %s", fleet.Youngest)
	case o.Reap.Limit < 0:
		return fmt.Errorf("--limit must not be negative")
	}
	return nil
}

func runReap(ctx context.Context, i *invocation) error { return i.manyNodes().Reap(ctx, i.Reap) }
