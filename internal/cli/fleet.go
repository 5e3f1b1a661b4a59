package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"
)

// fleetFlags are those of the step fleet: whom, how many at a time, in what manner.
func fleetFlags() []cli.Flag {
	own := []cli.Flag{
		text("max-unavailable", "1", "`NUMBER` of nodes, or share such as 25%, of each group that may be in progress at a time, including those that others recycle"),
		&cli.IntFlag{Name: "max-parallel-per-zone", EnvVars: env("max-parallel-per-zone"), Usage: "`NUMBER` of nodes of one zone that may be in progress at a time; 0 means any"},
		text("on-failure", "stop", "after the first recycle that fails: stop, which starts no more, or continue"),
		length("start-for", 0, "how long after the start more recycles are begun; 0 or nothing means to the end"),
		text("started-at", "", "`TIME` at which the fleet began, RFC 3339; empty means now"),
		text("template", "recycle-node", "`NAME` of the WorkflowTemplate that recycles one node"),
		text("workflow-status", "", "how the fleet's workflow ended; with --finish only"),
		&cli.BoolFlag{Name: "finish", EnvVars: env("finish"), Usage: "exit handler: say what came of the fleet, start nothing"},
		&cli.BoolFlag{Name: "stop-children", EnvVars: env("stop-children"), Usage: "with --finish: stop the recycles in progress as well, if the fleet did not succeed"},
	}
	return append(append(selectFlags(), own...), mannerFlags()...)
}

func readFleet(c *cli.Context, o *Options) (err error) {
	if err := readSelect(c, o); err != nil {
		return err
	}
	f := &o.Fleet
	f.StopOnFailure, f.StartFor, f.Template, f.Parameters = c.String("on-failure") == "stop", duration(c, "start-for"), c.String("template"), parameters(c)
	f.StopChildren, f.WorkflowStatus, f.ProgressFile = c.Bool("stop-children"), set(c, "workflow-status"), c.String("progress-file")
	f.PerZone = c.Int("max-parallel-per-zone")
	o.Finish = c.Bool("finish")
	if f.MaxUnavailable, err = fleet.ParseBudget(c.String("max-unavailable")); err != nil {
		return fmt.Errorf("--max-unavailable %w", err)
	}
	if at := set(c, "started-at"); at != "" {
		if f.StartedAt, err = time.Parse(time.RFC3339, at); err != nil {
			return hint.Errorf("for example 2026-01-31T22:00:00Z", "--started-at %q is malformed", at)
		}
	}
	switch problems := validation.IsDNS1123Subdomain(f.Template); {
	case f.PerZone < 0:
		return fmt.Errorf("--max-parallel-per-zone must not be negative")
	case len(problems) > 0:
		return fmt.Errorf("--template %q is malformed: %s", f.Template, problems[0])
	}
	return nil
}

// parameters are those of the recycles that a step starts: its own, whichever a recycle has too.
func parameters(c *cli.Context) map[string]string {
	all := map[string]string{}
	for _, name := range []string{"label-selector", "namespace", "cluster", "region", "action", "on-timeout", "log-level"} {
		all[name] = set(c, name)
	}
	for _, name := range []string{"evict", "do-not-disrupt"} {
		all[name] = strconv.FormatBool(c.Bool(name))
	}
	for _, name := range []string{"max-wait", "evict-timeout", "replacement-timeout"} {
		all[name] = duration(c, name).String()
	}
	return all
}

func runFleet(ctx context.Context, i *invocation) error {
	f := i.manyNodes()
	if i.Finish {
		return f.Finish(ctx)
	}
	err := f.Run(ctx)
	i.nodes = f.Planned
	return err
}
