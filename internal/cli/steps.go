package cli

import (
	"context"
	"maps"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/recycle"
)

// needs is whom a step asks for anything.
type needs int

const (
	nobody   needs = iota // neither AWS nor a cluster
	onlyAWS               // AWS
	aCluster              // AWS and a cluster
)

// step is a subcommand. Its flags are listed whole; read checks what is particular to it and puts it into the options.
type step struct {
	name, usage string
	needs       needs
	oneNode     bool // is about one node, which has to be named
	flags       []cli.Flag
	outputs     []string            // output parameters besides message
	choices     map[string][]string // of its own flags that take one of a few values
	read        func(*cli.Context, *Options) error
	run         func(context.Context, *invocation) error
}

// Flags that several steps use, of those that all steps of a recycle take.
var (
	whichPods = []string{"label-selector", "namespace", "do-not-disrupt", "max-wait", "on-timeout"}
	wayOut    = append([]string{"action", "progress-file"}, whichPods...)
)

func steps() []step {
	hooked := func(used ...string) []cli.Flag { return join(recycleFlags(used...), hookFlags()) }
	tables := map[string][]string{"output": {"json", "table"}}
	return []step{
		{
			name: "standby", usage: "put the instance on standby and wait for its replacement", needs: aCluster, oneNode: true,
			flags:   recycleFlags("fleet", "action", "replacement-timeout"),
			outputs: []string{"instance-id", "node-name", "asg-name", "region", "replacement-instance-id", "replacement-node", "reason"},
			run:     one((*recycle.Recycle).Standby),
		},
		{
			name: "taint", usage: "cordon the node and taint it", needs: aCluster, oneNode: true,
			flags: hooked(), outputs: []string{"node-name"}, read: readHook, run: withHeartbeat((*recycle.Recycle).Taint),
		},
		{
			name: "drain", usage: "wait for the pods that matter to finish by themselves", needs: aCluster, oneNode: true,
			flags: hooked(append([]string{"progress-file"}, whichPods...)...), outputs: []string{"pods-waiting"}, read: readHook,
			run: withHeartbeat((*recycle.Recycle).Drain),
		},
		{
			name: "evict", usage: "evict what is left, respecting PodDisruptionBudgets", needs: aCluster, oneNode: true,
			flags: hooked(append([]string{"evict", "window"}, whichPods...)...), outputs: []string{"pods-waiting"}, read: readHook,
			run: withHeartbeat((*recycle.Recycle).Evict),
		},
		{
			name: "retire", usage: "detach the instance, stop or terminate it, delete the Node", needs: aCluster, oneNode: true,
			flags: recycleFlags(append([]string{"window"}, wayOut...)...), run: one((*recycle.Recycle).Retire),
		},
		{
			name: "settle", usage: "exit handler: put right what a failure left behind", needs: aCluster, oneNode: true,
			flags: recycleFlags(append([]string{"workflow-status", "replacement-timeout"}, wayOut...)...),
			run:   one((*recycle.Recycle).Settle),
		},
		{
			name: "restore", usage: "bring a node back that stands by, on request", needs: aCluster, oneNode: true,
			flags: recycleFlags(), run: one((*recycle.Recycle).Restore),
		},
		{
			name: "select", usage: "list the nodes to recycle", needs: aCluster, flags: join(selectFlags(), sharedFlags()),
			outputs: []string{"nodes", "count"}, choices: tables, read: readSelect, run: runSelect,
		},
		{
			name: "fleet", usage: "recycle many nodes, one workflow a node, within a budget", needs: aCluster, flags: join(fleetFlags(), sharedFlags()),
			outputs: []string{"summary", "recycled", "skipped", "failed"}, choices: tables, read: readFleet, run: runFleet,
		},
		{
			name: "status", usage: "show all recycles: how far each is, since when, and what it waits for", needs: aCluster,
			flags:   join(statusFlags(), showing(sharedFlags(), "cluster", "region", "lease-namespace", "kubeconfig", "context", "output-dir", "log-format", "log-level")),
			choices: tables, read: readStatus, run: runStatus,
		},
		{
			name: "report", usage: "draw what became of a fleet, or of a night, as one HTML page", needs: aCluster,
			flags:   join(reportFlags(), showing(sharedFlags(), "cluster", "region", "lease-namespace", "kubeconfig", "context", "output-dir", "log-format", "log-level")),
			choices: map[string][]string{"output": {"html", "json"}}, read: readReport, run: runReport,
		},
		{
			name: "sweep", usage: "settle what workflows left that no longer run", needs: aCluster,
			flags:   join(showing(mannerFlags(), append([]string{"replacement-timeout"}, wayOut...)...), sweepFlags(), sharedFlags()),
			outputs: []string{"left", "in-progress", "oldest-seconds", "parked", "left-behind"}, read: readSweep, run: runSweep,
		},
		{
			name: "reap", usage: "terminate instances that recycles stopped long ago", needs: onlyAWS,
			flags:   join(reapFlags(), onlyAWSFlags()),
			outputs: []string{"reaped", "freed-gib"}, read: readReap, run: runReap,
		},
		{
			name: "lifecycle complete", usage: "exit handler: end the wait of a terminating instance for its lifecycle hook", needs: aCluster, oneNode: true,
			flags: join(completeFlags(), sharedFlags()), read: readHook, run: one((*recycle.Recycle).Complete),
			choices: map[string][]string{"result": {asg.Continue, asg.Abandon}, "on-failure": {recycle.WaitOn, asg.Continue, asg.Abandon}},
		},
		{
			name: "interruption", usage: "empty a Spot node that EC2 is about to interrupt, within the notice", needs: aCluster, oneNode: true,
			flags: join(interruptionFlags(), sharedFlags()), outputs: []string{"node-name", "pods-waiting"}, read: readInterruption, run: one((*recycle.Recycle).Interrupt),
		},
		{
			name: "admit", usage: "start the recycle of a node once its group's budget has room", needs: aCluster,
			flags: join(admitFlags(), sharedFlags()), outputs: []string{"instance-id", "asg-name", "starts"}, read: readAdmit, run: runAdmit,
		},
		{
			name: "event", usage: "start what an event starts, if AWS confirms what it says", needs: aCluster,
			flags: join(eventFlags(), sharedFlags()), outputs: []string{"workflows", "starts"}, read: readEvent, run: runEvent,
			choices: map[string][]string{"output": {"json", "workflow"}, "source": {"queue", "webhook"}},
		},
	}
}

// one runs a step of a recycle.
func one(run func(*recycle.Recycle, context.Context) error) func(context.Context, *invocation) error {
	return func(ctx context.Context, i *invocation) error { return run(i.oneNode(), ctx) }
}

// withHeartbeat runs one that may have been begun by a lifecycle hook.
func withHeartbeat(run func(*recycle.Recycle, context.Context) error) func(context.Context, *invocation) error {
	return func(ctx context.Context, i *invocation) error {
		r := i.oneNode()
		return r.WithHeartbeat(ctx, func(ctx context.Context) error { return run(r, ctx) })
	}
}

func (s step) command(streams Streams) *cli.Command {
	return &cli.Command{
		Name: s.name[strings.LastIndex(s.name, " ")+1:], Usage: s.usage, Flags: s.flags, HideHelpCommand: true, OnUsageError: badUsage,
		Action: func(c *cli.Context) error {
			o, err := parse(c, s)
			return s.runOnce(c.Context, o, err, streams)
		},
	}
}

// allowed are the values of flags that take one of a few.
func (s step) allowed() map[string][]string {
	all := map[string][]string{
		"action": {"stop", "terminate"}, "on-timeout": {"fail", "evict"}, "on-failure": {"stop", "continue"},
		"log-format": {"", "text", "json"}, "log-level": {"debug", "info", "warn", "error"}, "node-names": {"ec2", "any"},
	}
	maps.Copy(all, s.choices)
	return all
}
