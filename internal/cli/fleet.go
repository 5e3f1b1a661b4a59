package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/gate"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/notify"
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
		text("gate-url", "", "health `URL`: between two nodes, the next one waits until it has answered 2xx for --gate-for"),
		text("gate-prometheus", "", "`URL` of Prometheus, for --gate-query"),
		text("gate-query", "", "`PROMQL`: between two nodes, the next one waits until it has had values, none of them 0, for --gate-for"),
		length("gate-for", 5*time.Minute, "how long the gate must be good without a break"),
		text("template", "recycle-node", "`NAME` of the WorkflowTemplate that recycles one node"),
		text("workflow-status", "", "how the fleet's workflow ended; with --finish only"),
		&cli.BoolFlag{Name: "finish", EnvVars: env("finish"), Usage: "exit handler: say what came of the fleet, start nothing"},
		text("report-file", "", "with --finish: `FILE` for a page that shows the fleet; what keeps it from being written is logged"),
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
	f.Window = o.Recycle.Maintenance
	f.PerZone = c.Int("max-parallel-per-zone")
	o.Finish, o.File = c.Bool("finish"), set(c, "report-file")
	f.Gate = &gate.Gate{URL: set(c, "gate-url"), Prometheus: set(c, "gate-prometheus"), Query: set(c, "gate-query"), For: duration(c, "gate-for")}
	if err := f.Gate.Check(); err != nil {
		return err
	}
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
	for _, name := range []string{"label-selector", "namespace", "cluster", "region", "action", "on-timeout", "log-level", "evict", "do-not-disrupt", "window"} {
		all[name] = set(c, name)
	}
	for _, name := range []string{"max-wait", "evict-timeout", "replacement-timeout"} {
		all[name] = duration(c, name).String()
	}
	return all
}

// drawFleet writes the page of a fleet. Its end does not depend on that.
func (i *invocation) drawFleet(ctx context.Context, f *fleet.Fleet) {
	message := i.report.Message
	page, err := f.Picture(ctx, fleet.Reporting{Fleet: i.Workflow[strings.LastIndex(i.Workflow, "/")+1:], Location: time.UTC})
	if i.report.Message = message; err == nil {
		err = writePage(page, i.File)
	}
	if err != nil {
		i.log.WarnContext(ctx, "the page of the fleet is not written", "err", err)
	}
}

func runFleet(ctx context.Context, i *invocation) error {
	f := i.manyNodes()
	if i.Finish {
		err := f.Finish(ctx)
		if err == nil && i.File != "" && !i.DryRun {
			i.drawFleet(ctx, f)
		}
		if s := f.Summary; err == nil && s != nil && !i.DryRun {
			i.notify(ctx, notify.Message{Reason: "FleetEnded", Text: s.String(), Warning: s.Failed > 0})
		}
		return err
	}
	f.Gate.HTTP = i.http
	err := f.Run(ctx)
	i.nodes = f.Planned
	return err
}
