package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

func reportFlags() []cli.Flag {
	return []cli.Flag{
		text("fleet", "", "`NAME` of the Workflow of a fleet, or …"),
		length("since", 24*time.Hour, "… how far to look back for recycles of all kinds"),
		text("time-zone", "UTC", "`ZONE` of the times, such as Europe/Berlin"),
		text("file", "", "`FILE` for the page; empty means stdout"),
		text("output", "html", "html or json"),
		&cli.BoolFlag{Name: "aws", EnvVars: env("aws"), Value: true, Usage: "ask AWS for the capacity of the groups over time"},
	}
}

func readReport(c *cli.Context, o *Options) error {
	zone, err := time.LoadLocation(c.String("time-zone"))
	if err != nil || c.String("time-zone") == "" {
		return hint.Errorf("for example UTC or Europe/Berlin", "--time-zone %q is unknown", c.String("time-zone"))
	}
	o.Picture = fleet.Reporting{Fleet: set(c, "fleet"), Since: time.Now().Add(-duration(c, "since")).Truncate(time.Second), Location: zone, NoCapacity: !c.Bool("aws")}
	o.NoAWS, o.File = !c.Bool("aws"), c.String("file")
	return nil
}

func runReport(ctx context.Context, i *invocation) error {
	page, err := i.manyNodes().Picture(ctx, i.Picture)
	if err == nil {
		i.page = &page
	}
	return err
}

// writePage writes a picture to a file.
func writePage(page timeline.Page, name string) error {
	file, err := os.Create(name)
	if err != nil {
		return usageError{fmt.Errorf("writing the page: %w", err)}
	}
	if err := errors.Join(page.Write(file), file.Close()); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
