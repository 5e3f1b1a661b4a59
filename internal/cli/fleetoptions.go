package cli

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// FleetOptions say how many nodes are recycled at a time, and when no more of them.
type FleetOptions struct {
	fleet.Limits
	StopOnFailure bool
	StartFor      time.Duration // 0: no bound
	StartedAt     time.Time     // of the fleet's first attempt
	Template      string
	PollWindow    time.Duration // of the recycles; the fleet's own is a longer one
	Finish        bool
	StopChildren  bool
}

// fleetFlags are those of the step fleet: whom, how many at a time, in what manner.
func fleetFlags() []cli.Flag {
	own := []cli.Flag{
		text("max-unavailable", "1", "`NUMBER` of nodes, or share such as 25%, that may be under way at a time, whoever recycles them"),
		text("max-unavailable-of", "group", "whether that is counted in each group or over all groups: group or all"),
		&cli.IntFlag{Name: "max-parallel-per-zone", EnvVars: env("max-parallel-per-zone"), Usage: "`NUMBER` of nodes of one zone that may be under way at a time; 0 means any"},
		text("on-failure", "stop", "after the first recycle that fails: stop, which starts no more, or continue"),
		length("start-for", 0, "how long after the start more recycles are begun; 0 or nothing means to the end"),
		text("started-at", "", "`TIME` at which the fleet began, RFC 3339; empty means now"),
		text("template", "recycle-node", "`NAME` of the WorkflowTemplate that recycles one node"),
		length("recycle-poll-window", 20*time.Minute, "poll window of the recycles"),
		text("workflow-status", "", "how the fleet's workflow ended; with --finish only"),
		&cli.BoolFlag{Name: "finish", EnvVars: env("finish"), Usage: "exit handler: say what came of the fleet, start nothing"},
		&cli.BoolFlag{Name: "stop-children", EnvVars: env("stop-children"), Usage: "with --finish: stop the recycles under way as well, if the fleet did not succeed"},
	}
	return append(append(selectFlags(), own...), mannerFlags()...)
}

func readFleet(c *cli.Context, o *Options) (err error) {
	if err := readSelect(c, o); err != nil {
		return err
	}
	f := FleetOptions{
		StopOnFailure: c.String("on-failure") == "stop", StartFor: duration(c, "start-for"), Template: c.String("template"),
		PollWindow: duration(c, "recycle-poll-window"), Finish: c.Bool("finish"), StopChildren: c.Bool("stop-children"),
	}
	f.InAll, f.PerZone = c.String("max-unavailable-of") == "all", c.Int("max-parallel-per-zone")
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
	o.Fleet = f
	return nil
}

// parent is the workflow that the fleet runs in.
func (f *fleetRun) parent() argo.Parent {
	_, name, _ := strings.Cut(f.Workflow, "/")
	return argo.Parent{Name: name, UID: f.WorkflowUID}
}

// parameters are those of the recycle of one node: the fleet's own, whichever a node's recycle has too.
func (f *fleetRun) parameters(c Candidate) map[string]string {
	onTimeout := "fail"
	if f.EvictOnTimeout {
		onTimeout = "evict"
	}
	return map[string]string{
		"instance-id": c.InstanceID, "fleet": f.Workflow, "label-selector": f.LabelSelector, "namespace": f.Namespaces, "cluster": f.Cluster, "region": f.Region,
		"action": string(f.Action), "evict": strconv.FormatBool(f.Evict), "max-wait": f.MaxWait.String(), "on-timeout": onTimeout,
		"replacement-timeout": f.ReplacementTimeout.String(), "suspend-az-rebalance": strconv.FormatBool(f.SuspendAZRebalance),
		"poll-window": f.Fleet.PollWindow.String(), "claim-duration": f.ClaimDuration.String(), "log-level": f.LogLevel,
	}
}

func reasons(c Candidate) string { return cmp.Or(strings.Join(c.Reasons, ", "), "selected") }
