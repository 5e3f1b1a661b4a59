package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// step is a subcommand: a name and what it does. outputs names its output parameters besides message. own are flags that no
// other step has, and read puts them into the options, checked; a step with flags of its own takes none of those that say
// how one node is recycled.
type step struct {
	name, usage string
	uses        []string // of the flags that all steps of a recycle take
	outputs     []string
	run         func(context.Context, *session) error
	anyNode     bool // works on no one node
	onlyAWS     bool // asks the cluster for nothing
	alone       bool // asks neither AWS nor a cluster for anything
	own         func() []cli.Flag
	beats       bool // keeps a lifecycle action waiting, if one is given
	read        func(*cli.Context, *Options) error
	choices     map[string][]string // of its own flags
}

func (s step) flags() []cli.Flag {
	switch {
	case s.alone:
		return append(s.own(), everyFlags()...)
	case s.beats:
		return append(append(s.of(nodeFlags()), lifecycleFlags()...), sharedFlags()...)
	case s.own == nil:
		return append(s.of(nodeFlags()), sharedFlags()...)
	case s.onlyAWS:
		return append(s.own(), hidden(sharedFlags(), func(name string) bool { return slices.Contains(clusterFlags, name) })...)
	default:
		return append(s.own(), sharedFlags()...)
	}
}

// of hides the flags that the step takes, because all of a recycle do, but does not use.
func (s step) of(flags []cli.Flag) []cli.Flag {
	return hidden(flags, func(name string) bool {
		return !slices.Contains(s.uses, name) && (s.anyNode || (name != "instance-id" && name != "node"))
	})
}

func hidden(flags []cli.Flag, hide func(name string) bool) []cli.Flag {
	for _, f := range flags {
		if !hide(f.Names()[0]) {
			continue
		}
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Hidden = true
		case *cli.BoolFlag:
			f.Hidden = true
		case lengthFlag:
			f.Hidden = true
		}
	}
	return flags
}

// What most steps of a recycle use.
var (
	whichPods = []string{"label-selector", "namespace", "max-wait", "on-timeout"}
	wayOut    = append([]string{"action", "progress-file"}, whichPods...)
)

func steps() []step {
	return []step{
		{name: "standby", usage: "put the instance on standby and wait for its replacement", run: standby,
			uses:    []string{"fleet", "action", "replacement-timeout", "suspend-az-rebalance"},
			outputs: []string{"instance-id", "node-name", "asg-name", "region", "replacement-instance-id", "replacement-node"}},
		{name: "taint", usage: "cordon the node and taint it", run: taint, outputs: []string{"node-name"}, beats: true, read: readLifecycle},
		{name: "drain", usage: "wait for the pods that matter to finish by themselves", run: drainPods, outputs: []string{"pods-waiting"},
			uses: append([]string{"progress-file"}, whichPods...), beats: true, read: readLifecycle},
		{name: "evict", usage: "evict what is left, respecting PodDisruptionBudgets", run: evict, outputs: []string{"pods-waiting"},
			uses: append([]string{"evict"}, whichPods...), beats: true, read: readLifecycle},
		{name: "retire", usage: "detach the instance, stop or terminate it, delete the Node", run: retire, uses: wayOut},
		{name: "settle", usage: "exit handler: put right what a failure left behind", run: settle,
			uses: append([]string{"workflow-status", "replacement-timeout", "suspend-az-rebalance"}, wayOut...)},
		{name: "restore", usage: "bring a node back that stands by, on request", run: restore, uses: []string{"suspend-az-rebalance"}},
		{name: "select", usage: "list the nodes to recycle", run: selectStep, anyNode: true, own: selectFlags, read: readSelect, choices: map[string][]string{"output": {"json", "table"}},
			outputs: []string{"nodes", "count"}},
		{name: "fleet", usage: "recycle many nodes, one workflow a node, within a budget", run: fleetStep, anyNode: true, own: fleetFlags, read: readFleet, choices: map[string][]string{"output": {"json", "table"}},
			outputs: []string{"summary"}},
		{name: "sweep", usage: "settle what workflows left that no longer run", run: sweep, anyNode: true,
			uses: append([]string{"replacement-timeout", "suspend-az-rebalance"}, wayOut...), outputs: []string{"left"}},
		{name: "reap", usage: "terminate instances that recycles stopped long ago", run: reap, anyNode: true, onlyAWS: true,
			own: reapFlags, read: readReap, outputs: []string{"reaped", "freed-gib"}},
		{name: "lifecycle heartbeat", usage: "keep a terminating instance waiting for its lifecycle hook once more", run: heartbeat, onlyAWS: true,
			own: actionFlags, read: readLifecycle},
		{name: "lifecycle complete", usage: "exit handler: end the wait of a terminating instance for its lifecycle hook", run: complete,
			own: completeFlags, read: readLifecycle, choices: map[string][]string{"result": {asg.Continue, asg.Abandon}, "on-failure": {leaveIt, asg.Continue, asg.Abandon}}},
		{name: "leave", usage: "empty a node whose instance EC2 is about to take, within the notice", run: leave,
			own: leaveFlags, read: readLeave, outputs: []string{"node-name", "pods-waiting"}},
		{name: "alarm", usage: "start the recycle of the node that an alarm is about, unless its group cools down", run: alarm, anyNode: true,
			own: alarmFlags, read: readAlarm, outputs: []string{"instance-id", "asg-name"}},
		{name: "event", usage: "say what an event would start; start nothing", run: eventStep, anyNode: true, alone: true, own: eventFlags, read: readEvent,
			choices: map[string][]string{"output": {"json", "workflow"}}},
	}
}

// Result is what a step prints as its one JSON object on stdout.
type Result struct {
	Step                string        `json:"step"`
	Status              string        `json:"status"` // Done, NotYet or Failed
	Message             string        `json:"message"`
	DryRun              bool          `json:"dryRun,omitempty"`
	InstanceID          string        `json:"instanceId,omitempty"`
	NodeName            string        `json:"nodeName,omitempty"`
	ASGName             string        `json:"asgName,omitempty"`
	Region              string        `json:"region,omitempty"`
	ReplacementInstance string        `json:"replacementInstanceId,omitempty"`
	ReplacementNode     string        `json:"replacementNode,omitempty"`
	PodsWaiting         *int          `json:"podsWaiting,omitempty"`
	Pods                []string      `json:"pods,omitempty"`
	Left                []Left        `json:"left,omitempty"`  // found by a sweep
	Nodes               []Candidate   `json:"nodes,omitempty"` // selected
	Reaped              []Reaped      `json:"reaped,omitempty"`
	Fleet               *FleetSummary `json:"fleet,omitempty"`
	Event               *event.Order  `json:"event,omitempty"`   // what an event starts
	Changes             []string      `json:"changes,omitempty"` // made, or with --dry-run: that would be made
	Warnings            []string      `json:"warnings,omitempty"`
	Hint                string        `json:"hint,omitempty"`
}

// session is one run of a step: options, clients, and the result as it grows.
type session struct {
	Options
	asg       *asg.Client
	templates asg.TemplateReader
	nodes     *node.Client
	pods      *drain.Client
	claims    claim.Claims
	argo      argo.Workflows
	held      *claim.Claim // once it is claimed
	even      bool         // AZRebalance has been seen to
	denied    time.Time    // when a row of refused credentials began
	hook      *asg.Hook    // that keeps the instance waiting, once it is read
	nextBeat  time.Time    // when its next heartbeat is due
	wait      poll.Loop
	log       *slog.Logger
	result    Result
}

// errWindow ends an attempt; the next one goes on where it stopped.
var errWindow = errors.New("the poll window of this attempt ended; run the step again")

func (s step) command(streams Streams) *cli.Command {
	return &cli.Command{
		Name: s.name[strings.LastIndex(s.name, " ")+1:], Usage: s.usage, Flags: s.flags(), HideHelpCommand: true, OnUsageError: badUsage,
		Action: func(c *cli.Context) error {
			o, err := parse(c, s)
			return s.runOnce(c.Context, o, err, streams)
		},
	}
}

// runOnce is one run of the step, from its options to its result. What is wrong with the options becomes a result too.
func (s step) runOnce(ctx context.Context, o Options, err error, streams Streams) error {
	o.Log = logger(streams.Err, o)
	run := &session{Options: o, log: o.Log, result: Result{Step: s.name, DryRun: o.DryRun}}
	if err == nil {
		err = s.execute(ctx, run, streams)
	}
	if awserr.IsNoCredentials(err) { // whose text is about the last thing that was tried, the instance's metadata
		err = hint.Errorf("in a pod: a role for its service account, by EKS Pod Identity or IRSA (docs/install.md); elsewhere: AWS_PROFILE, and aws sso login if it asks for it",
			"no AWS credentials were found")
	}
	return run.conclude(s, err, streams)
}

// execute runs the step within its window. Errors that go away by themselves start it anew: every step observes first,
// so that is always right.
func (s step) execute(ctx context.Context, run *session, streams Streams) error {
	if run.OutputDir != "" {
		if err := argo.WriteOutputs(run.OutputDir, nil); err != nil {
			return usageError{err}
		}
	}
	if s.alone {
		return s.run(ctx, run)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, run.PollWindow, errWindow)
	defer cancel()

	run.wait = poll.Loop{Interval: run.PollInterval, Jitter: streams.Jitter, Transient: run.transient, Log: run.log}
	return run.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		if run.asg == nil {
			clients, err := streams.Connect(ctx, run.Options)
			if err != nil {
				return false, "", err
			}
			run.use(clients)
		}
		act := func(ctx context.Context) error { return s.run(ctx, run) }
		if s.beats {
			act = func(ctx context.Context) error {
				return run.beating(ctx, func(ctx context.Context) error { return s.run(ctx, run) })
			}
		}
		err := act(ctx)
		var held *claim.HeldError
		if errors.As(err, &held) {
			return false, held.Error(), nil
		}
		return err == nil, "", err
	})
}

// conclude writes the result and reports the error in the form of the log.
func (r *session) conclude(s step, err error, streams Streams) error {
	err = errors.Join(err, r.finish(s, err, streams))
	if err == nil || !jsonLogs(streams.Err, r.Options) {
		return err
	}
	level := slog.LevelError
	if exitCode(err) == argo.ExitNotYet {
		level = slog.LevelInfo // the next attempt goes on; an error is what needs a person
	}
	r.log.Log(context.Background(), level, "step ended", "err", err.Error(), "hint", hint.Of(err), "exit", exitCode(err)) // a pod's log stays one JSON object a line
	return reportedError{err}
}

func (r *session) use(c *Clients) {
	r.asg = &asg.Client{Reader: c.Groups, Writer: c.Groups, Instances: c.Instances, Volumes: c.Volumes, Alone: r.alone, Wait: r.wait, Log: r.log}
	r.templates, r.argo, r.result.Region = c.Templates, c.Workflows, c.Region
	if c.Kube == nil {
		return
	}
	r.nodes = &node.Client{Nodes: c.Kube.Nodes, Events: c.Kube.Events, Version: c.Kube.Version, Log: r.log}
	r.pods = &drain.Client{Pods: c.Kube.Pods, Wait: r.wait, Log: r.log}
	r.claims = claim.Claims{
		Leases: c.Kube.Leases(r.LeaseNamespace), Holder: r.WorkflowUID, Workflow: r.Workflow, Duration: r.ClaimDuration, Log: r.log,
	}
}

// finish writes the result to stdout and the output parameters to their files, whatever the outcome.
func (r *session) finish(s step, err error, streams Streams) error {
	switch exitCode(err) {
	case argo.ExitDone:
		r.result.Status = "Done"
	case argo.ExitNotYet:
		r.result.Status, r.result.Message = "NotYet", err.Error()
	default:
		r.result.Status, r.result.Message, r.result.Hint = "Failed", err.Error(), hint.Of(err)
	}
	if err := r.print(streams.Out); err != nil {
		return err
	}
	if r.OutputDir == "" {
		return nil
	}
	_, volumes := freed(r.result.Reaped)
	all := map[string]string{
		"instance-id": r.result.InstanceID, "node-name": r.result.NodeName, "asg-name": r.result.ASGName, "region": r.result.Region,
		"replacement-instance-id": r.result.ReplacementInstance, "replacement-node": r.result.ReplacementNode, "pods-waiting": count(r.result.PodsWaiting), "left": list(r.result.Left), "summary": r.result.Fleet.parameter(), "nodes": list(r.result.Nodes), "count": strconv.Itoa(len(r.result.Nodes)),
		"reaped": list(r.result.Reaped), "freed-gib": strconv.Itoa(volumes.FreedGiB),
	}
	values := map[string]string{"message": r.result.Message}
	for _, name := range s.outputs {
		values[name] = all[name]
	}
	return argo.WriteOutputs(r.OutputDir, values)
}

// print writes the result as one line of JSON, or, if it is asked for and there is one, as a table or a manifest.
func (r *session) print(w io.Writer) error {
	switch {
	case r.Event.Output == "workflow" && r.result.Event != nil:
		return manifest(w, r.result.Event)
	case r.Event.Output == "workflow": // stderr says why there is none
		return nil
	case r.Select.Output == "table" && r.result.Fleet != nil:
		return r.result.Fleet.table(w)
	case r.Select.Output == "table" && r.result.Status != "Done": // a failure has none: stderr says it
		return nil
	case r.Select.Output == "table" && !r.Fleet.Finish:
		return table(w, r.result.Nodes)
	}
	line, err := json.Marshal(r.result)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(line))
	return err
}

func list[T any](all []T) string {
	if all == nil {
		all = []T{}
	}
	text, _ := json.Marshal(all) // strings and times always marshal
	return string(text)
}

func count(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(*n)
}

// done sets the result's message.
func (r *session) done(format string, args ...any) error {
	r.result.Message = fmt.Sprintf(format, args...)
	return nil
}

// change records what the step changes; with --dry-run it says that it would.
func (r *session) change(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, known := range r.result.Changes {
		if known == text {
			return
		}
	}
	r.result.Changes = append(r.result.Changes, text)
}

func (r *session) warn(ctx context.Context, text string) {
	r.log.WarnContext(ctx, "warning", "text", text)
	r.result.Warnings = append(r.result.Warnings, text)
}

func logger(w io.Writer, o Options) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // checked by validate
	options := &slog.HandlerOptions{Level: level}
	if jsonLogs(w, o) {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func jsonLogs(w io.Writer, o Options) bool {
	return o.LogFormat == "json" || (o.LogFormat == "" && !terminal(w))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
