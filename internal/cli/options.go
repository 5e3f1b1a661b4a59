package cli

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Options are the inputs of a step, checked.
type Options struct {
	InstanceID, Node   string
	LabelSelector      string
	Namespaces         string
	Selection          drain.Selection
	Cluster, Region    string
	Kubeconfig         string
	Context            string
	OnlyAWS            bool // the step asks the cluster for nothing
	Action             asg.Action
	Evict, DryRun      bool
	EvictOnTimeout     bool
	PollWindow         time.Duration
	PollInterval       time.Duration
	MaxWait            time.Duration
	ReplacementTimeout time.Duration
	SuspendAZRebalance bool
	OutputDir          string
	ProgressFile       string
	WorkflowUID        string
	Workflow           string
	WorkflowStatus     string
	LeaseNamespace     string
	ClaimDuration      time.Duration
	LogFormat          string
	LogLevel           string
	Log                *slog.Logger // for the clients
	OfFleet            string
	Select             SelectOptions
	Fleet              FleetOptions
	Reap               ReapOptions
	Lifecycle          LifecycleOptions
	Leave              LeaveOptions
	Alarm              AlarmOptions
	Event              EventOptions
}

// nodeFlags say which node is recycled and how. All steps of a recycle have them, so that one set of parameters and
// environment variables fits every step of a workflow.
func nodeFlags() []cli.Flag {
	return append([]cli.Flag{
		text("instance-id", "", "EC2 `ID` of the instance to recycle, or …"),
		text("node", "", "… `NAME` of its Node; exactly one of the two"),
		text("workflow-status", "", "settle only: how the workflow ended: Succeeded, Failed or Error"),
		text("fleet", "", "`NAME` of the fleet that asked for this recycle: a Node that people want it to skip is then left alone"),
	}, mannerFlags()...)
}

// mannerFlags say in what manner nodes are recycled.
func mannerFlags() []cli.Flag {
	return append(podFlags(),
		text("action", "stop", "what becomes of the instance: stop or terminate"),
		length("replacement-timeout", 30*time.Minute, "how long to wait in all for a replacement in service before going back"),
		length("max-wait", 48*time.Hour, "how long to wait in all for the pods to finish, over attempts and re-submits"),
		text("on-timeout", "fail", "what to do after max-wait: fail or evict"),
		&cli.BoolFlag{Name: "evict", Value: true, EnvVars: env("evict"), Usage: "evict what is left once the pods that matter have finished"},
		&cli.BoolFlag{Name: "suspend-az-rebalance", Value: true, EnvVars: env("suspend-az-rebalance"), Usage: "suspend AZRebalance of the group while any recycle of it is under way, and Terminate while an instance is brought back"},
		text("progress-file", "", "`FILE` for N/M progress", "ARGO_PROGRESS_FILE"),
	)
}

// podFlags say which pods matter.
func podFlags() []cli.Flag {
	return []cli.Flag{
		text("label-selector", "", "label `SELECTOR` of the pods that must finish by themselves; empty means every run-to-completion pod"),
		text("namespace", "", "comma-separated `NAMESPACES` of those pods; empty means all"),
	}
}

// sharedFlags are those of every step that asks AWS or a cluster for anything.
func sharedFlags() []cli.Flag {
	return append([]cli.Flag{
		text("cluster", "", "`NAME` of the EKS cluster; empty means the kubeconfig's, or the one this runs in"),
		text("region", "", "AWS `REGION`; empty means the AWS SDK's default chain"),
		length("poll-window", 20*time.Minute, "how long one attempt waits before it exits 75"),
		length("poll-interval", 10*time.Second, "pause between two looks at AWS"),
		&cli.BoolFlag{Name: "dry-run", EnvVars: env("dry-run"), Usage: "read everything, change nothing, say what would change"},
		text("workflow-uid", "", "holder of the claim on the instance; empty means this user and host"),
		text("workflow-name", "", "who recycles, for people, as `NAMESPACE/NAME`"),
		text("lease-namespace", "eks-recycle", "`NAMESPACE` of the claims; the same for everyone who may recycle nodes of the cluster"),
		length("claim-duration", 5*time.Minute, "how long a claim outlives a step that died"),
		text("kubeconfig", "", "kubeconfig `FILE`; empty means KUBECONFIG, ~/.kube/config, or the cluster this runs in"),
		text("context", "", "kubeconfig `CONTEXT`"),
	}, everyFlags()...)
}

// clusterFlags are those of sharedFlags that say how to ask a cluster.
var clusterFlags = []string{"kubeconfig", "context", "lease-namespace", "claim-duration", "workflow-uid", "workflow-name"}

// everyFlags are those of every step.
func everyFlags() []cli.Flag {
	return []cli.Flag{
		text("output-dir", "", "`DIRECTORY` for the output parameters, one file each; empty means none"),
		text("log-format", "", "text or json; empty means text on a terminal and json elsewhere"),
		text("log-level", "info", "debug, info, warn or error"),
	}
}

func text(name, value, usage string, more ...string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, EnvVars: append(env(name), more...)}
}

func env(name string) []string {
	return []string{"EKS_RECYCLE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}

// parse reads and checks the options before any client exists.
func parse(c *cli.Context, s step) (Options, error) {
	o := Options{
		InstanceID: set(c, "instance-id"), Node: set(c, "node"),
		Cluster: set(c, "cluster"), Region: set(c, "region"), Kubeconfig: c.String("kubeconfig"), Context: c.String("context"),
		Action: asg.Action(c.String("action")), Evict: c.Bool("evict"), DryRun: c.Bool("dry-run"), EvictOnTimeout: c.String("on-timeout") == "evict",
		PollWindow: duration(c, "poll-window"), PollInterval: duration(c, "poll-interval"), MaxWait: duration(c, "max-wait"), ReplacementTimeout: duration(c, "replacement-timeout"),
		SuspendAZRebalance: c.Bool("suspend-az-rebalance"),
		OutputDir:          c.String("output-dir"), ProgressFile: c.String("progress-file"),
		WorkflowUID: set(c, "workflow-uid"), Workflow: set(c, "workflow-name"), WorkflowStatus: set(c, "workflow-status"),
		LeaseNamespace: c.String("lease-namespace"), ClaimDuration: duration(c, "claim-duration"),
		OfFleet: set(c, "fleet"), LogFormat: c.String("log-format"), LogLevel: c.String("log-level"),
	}
	if o.WorkflowUID == "" {
		o.WorkflowUID = laptop()
	}
	if o.Workflow == "" {
		o.Workflow = o.WorkflowUID
	}
	err := checkLengths(c)
	if err != nil {
		return o, usageError{err}
	}
	o.LabelSelector, o.Namespaces = c.String("label-selector"), c.String("namespace")
	if o.Selection, err = drain.ParseSelection(o.LabelSelector, o.Namespaces); err != nil {
		return o, usageError{err}
	}
	if err := o.validate(c, s); err != nil {
		return o, usageError{err}
	}
	o.OnlyAWS = s.onlyAWS
	if s.read != nil {
		if err := s.read(c, &o); err != nil {
			return o, usageError{err}
		}
	}
	if o.InstanceID != "" {
		return o, asg.CheckInstanceID(o.InstanceID) // refused like an unknown id, not like a mistyped flag
	}
	return o, nil
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
	case s.anyNode && s.own == nil && o.InstanceID+o.Node != "":
		return hint.Errorf("to settle one node: step settle", "step %s works on all nodes: it takes neither --instance-id nor --node", s.name)
	case !s.anyNode && (o.InstanceID == "") == (o.Node == ""):
		return hint.Errorf("for example --instance-id i-0123456789abcdef0, or --node ip-10-0-1-2.eu-central-1.compute.internal", "give exactly one of --instance-id and --node")
	case has(c, "evict") && o.EvictOnTimeout && !o.Evict:
		return hint.Errorf("choose on-timeout=fail, or let it evict", "--on-timeout evict and --evict=false contradict each other")
	case o.Region != "" && !matches(regionForm, o.Region):
		return hint.Errorf("for example eu-central-1", "region %q is malformed", o.Region)
	case o.Cluster != "" && !matches(clusterForm, o.Cluster):
		return hint.Errorf("the name, not the ARN: aws eks list-clusters", "cluster name %q is malformed", o.Cluster)
	}
	if err := chosen(c, s); err != nil {
		return err
	}
	for _, name := range []string{"poll-window", "recycle-poll-window", "poll-interval", "replacement-timeout", "max-wait", "claim-duration", "cool-down", "older-than"} {
		if has(c, name) && duration(c, name) == 0 {
			return notALength(c, name)
		}
	}
	if o.PollInterval > time.Hour {
		return fmt.Errorf("--poll-interval must be at most 1h")
	}
	if problems := validation.IsDNS1123Label(o.LeaseNamespace); len(problems) > 0 && !s.alone {
		return fmt.Errorf("--lease-namespace %q is malformed: %s", o.LeaseNamespace, problems[0])
	}
	if o.ClaimDuration < 3*time.Second && !s.alone {
		return fmt.Errorf("--claim-duration must be at least 3s")
	}
	return nil
}

// allowed are the values of flags that take one of a few.
func (s step) allowed() map[string][]string {
	all := map[string][]string{
		"action": {"stop", "terminate"}, "on-timeout": {"fail", "evict"}, "on-failure": {"stop", "continue"},
		"max-unavailable-of": {"group", "all"}, "log-format": {"", "text", "json"}, "log-level": {"debug", "info", "warn", "error"},
	}
	maps.Copy(all, s.choices)
	return all
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

// laptop is the holder of claims made outside of a workflow: stable, so that a step run again is the same holder.
func laptop() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}
