package cli

import (
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/recycle"
	"github.com/eks-recycle/eks-recycle/internal/window"
)

// Options are the inputs of a step, checked.
type Options struct {
	Recycle recycle.Request
	Fleet   fleet.Request
	Reap    fleet.Reaping
	Queued  fleet.Queued
	Picture fleet.Reporting
	File    string // for the picture; empty means stdout
	Event   EventOptions
	Hook    string   // whose lost events a sweep looks for
	Groups  []string // whose recycles are shown; none means all
	Offline bool     // nobody is asked for anything
	Finish  bool     // of a fleet

	Cluster, Region     string
	Kubeconfig, Context string
	OnlyAWS             bool // the step asks the cluster for nothing
	NoAWS               bool // the step asks AWS for nothing, unless it takes that to find the cluster
	DryRun              bool
	Window              time.Duration // of one attempt
	PollInterval        time.Duration
	OutputDir, Output   string
	WorkflowUID         string
	Workflow            string
	LeaseNamespace      string
	ClaimDuration       time.Duration
	AnyNodeName         bool   // nodes have names of their own
	NotifyURL           string // a secret
	NotifyFormat        string
	LogFormat, LogLevel string
	Log                 *slog.Logger // for the clients
}

// parse reads and checks the options before any client exists.
func parse(c *cli.Context, s step) (Options, error) {
	o := Options{
		Cluster: set(c, "cluster"), Region: set(c, "region"), Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), OnlyAWS: s.needs == onlyAWS,
		DryRun: c.Bool("dry-run"), Window: argo.Window(duration(c, "poll-window"), set(c, "attempt")), PollInterval: duration(c, "poll-interval"),
		OutputDir: c.String("output-dir"), Output: c.String("output"),
		WorkflowUID: cmp.Or(set(c, "workflow-uid"), laptop()), LeaseNamespace: c.String("lease-namespace"), ClaimDuration: duration(c, "claim-duration"), AnyNodeName: c.String("node-names") == "any",
		NotifyURL: c.String("notify-url"), NotifyFormat: c.String("notify-format"),
		LogFormat: c.String("log-format"), LogLevel: c.String("log-level"),
	}
	o.Fleet.Cluster, o.Fleet.DryRun = o.Cluster, o.DryRun
	o.Workflow = cmp.Or(set(c, "workflow-name"), o.WorkflowUID)
	err := checkLengths(c)
	if err == nil {
		err = o.validate(c, s)
	}
	if err == nil {
		o.Recycle, err = recycleRequest(c, o)
	}
	if err == nil && s.read != nil {
		err = s.read(c, &o)
	}
	if err != nil {
		return o, usageError{err}
	}
	if id := set(c, "instance-id"); id != "" {
		return o, asg.CheckInstanceID(id) // refused like an unknown id, not like a mistyped flag
	}
	return o, nil
}

// recycleRequest reads the flags that say how one node is recycled; those that the step does not have are zero.
func recycleRequest(c *cli.Context, o Options) (r recycle.Request, err error) {
	r = recycle.Request{
		InstanceID: set(c, "instance-id"), Node: set(c, "node"), Cluster: o.Cluster, DryRun: o.DryRun, Window: o.Window,
		KeepPods: !c.Bool("evict"), EvictOnTimeout: c.String("on-timeout") == "evict",
		MaxWait: duration(c, "max-wait"), EvictTimeout: duration(c, "evict-timeout"), ReplacementTimeout: duration(c, "replacement-timeout"),
		Fleet: set(c, "fleet"), WorkflowStatus: set(c, "workflow-status"), ProgressFile: c.String("progress-file"),
	}
	if r.Maintenance, err = window.Parse(set(c, "window")); err != nil {
		return r, err
	}
	if has(c, "action") {
		if r.Action, err = asg.ParseAction(c.String("action")); err != nil {
			return r, err
		}
	}
	r.Pods, err = drain.ParseSelection(c.String("label-selector"), c.String("namespace"))
	r.Pods.Own = o.LeaseNamespace
	r.Pods.Disruptable = has(c, "do-not-disrupt") && !c.Bool("do-not-disrupt")
	return r, err
}

const (
	regionForm  = `^[a-z]{2,}(-[a-z]+)+-\d{1,2}$`
	clusterForm = `^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$` // https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html
)

// matches compiles the pattern when it is needed. A variable would be compiled at the start of every step.
func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }

func (o Options) validate(c *cli.Context, s step) error {
	switch {
	case c.NArg() > 0:
		return hint.Errorf("all inputs are flags: step "+s.name+" --help", "argument %q is not expected", c.Args().First())
	case s.oneNode && (set(c, "instance-id") == "") == (set(c, "node") == ""):
		return hint.Errorf("for example --instance-id i-0123456789abcdef0, or --node ip-10-0-1-2.eu-central-1.compute.internal", "give exactly one of --instance-id and --node")
	case has(c, "evict") && c.String("on-timeout") == "evict" && !c.Bool("evict"):
		return hint.Errorf("choose on-timeout=fail, or let it evict", "--on-timeout evict and --evict=false contradict each other")
	case o.Region != "" && !matches(regionForm, o.Region):
		return hint.Errorf("for example eu-central-1", "region %q is malformed", o.Region)
	case o.Cluster != "" && !matches(clusterForm, o.Cluster):
		return hint.Errorf("the name, not the ARN: aws eks list-clusters", "cluster name %q is malformed", o.Cluster)
	}
	if err := chosen(c, s); err != nil {
		return err
	}
	for _, name := range []string{"max-wait", "evict-timeout", "replacement-timeout"} {
		if has(c, name) && duration(c, name) > recycle.LongestWait {
			return fmt.Errorf("--%s must be at most 14d", name)
		}
	}
	if o.PollInterval > time.Hour {
		return fmt.Errorf("--poll-interval must be at most 1h")
	}
	if problems := validation.IsDNS1123Label(o.LeaseNamespace); len(problems) > 0 && s.needs == aCluster {
		return fmt.Errorf("--lease-namespace %q is malformed: %s", o.LeaseNamespace, problems[0])
	}
	if (o.ClaimDuration < 3*time.Second || o.ClaimDuration > time.Hour) && s.needs == aCluster {
		return fmt.Errorf("--claim-duration must be from 3s to 1h")
	}
	return nil
}

func chosen(c *cli.Context, s step) error {
	for name, allowed := range s.allowed() {
		if has(c, name) && !slices.Contains(allowed, c.String(name)) {
			return fmt.Errorf("--%s %q is not one of: %s", name, c.String(name), strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
		}
	}
	return nil
}

// has reports whether the step has the flag at all.
func has(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// set returns a flag's value; what Argo left unsubstituted ("{{…}}") counts as not given.
func set(c *cli.Context, name string) string {
	value := strings.TrimSpace(c.String(name))
	if strings.HasPrefix(value, "{{") {
		return ""
	}
	return value
}

// laptop is the holder of claims made outside of a workflow: one shell of one person on one host, so that a step run again is the
// same holder, and two people who share an account are not.
func laptop() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return fmt.Sprintf("%s@%s:%d", name, host, os.Getppid())
}
