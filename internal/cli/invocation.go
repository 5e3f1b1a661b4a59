package cli

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/dispatch"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/recycle"
	"github.com/eks-recycle/eks-recycle/internal/report"
	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

// invocation is one run of a step: options, clients, and the report as it grows. The rest are results of single steps.
type invocation struct {
	Options
	clients *Clients
	http    http.RoundTripper // nil is the default
	wait    poll.Loop
	log     *slog.Logger
	report  report.Report
	denied  denials

	recycle   *recycle.Recycle // once it is made
	remaining []recycle.Leftover
	nodes     []fleet.Candidate
	standings []recycle.Standing
	page      *timeline.Page // of a report
	fleet     *fleet.Fleet
	starts    []event.Decision // of an event
	started   []string         // workflows, of them
}

// runOnce is one run of the step, from its options to its result. What is wrong with the options becomes a result too.
func (s step) runOnce(ctx context.Context, o Options, err error, streams Streams) error {
	o.Log = logger(streams.Err, o)
	run := &invocation{Options: o, http: streams.HTTP, log: o.Log, report: report.Report{Log: o.Log}}
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
func (s step) execute(ctx context.Context, run *invocation, streams Streams) error {
	if run.OutputDir != "" {
		if err := argo.WriteOutputs(run.OutputDir, nil); err != nil {
			return usageError{err}
		}
	}
	if s.needs == nobody || run.Offline {
		return s.run(ctx, run)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, run.Window, recycle.ErrWindow)
	defer cancel()

	run.wait = poll.Loop{First: firstPause, Interval: run.PollInterval, Jitter: streams.Jitter, Transient: run.transient, Log: run.log}
	return run.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		if run.clients == nil {
			clients, err := streams.Connect(ctx, run.Options)
			if err != nil {
				return false, "", err
			}
			run.clients, run.report.Region = clients, clients.Region
		}
		err := s.run(ctx, run)
		var held *claim.HeldError
		if errors.As(err, &held) {
			return false, held.Error(), nil
		}
		return err == nil, "", err
	})
}

// firstPause is how soon AWS is asked whether what it was asked for is done.
const firstPause = time.Second

func (i *invocation) aws() asg.Client {
	client := i.clients.AWS
	client.Wait, client.Log = i.wait, i.log
	return client
}

func (i *invocation) nodesClient() *node.Client {
	k := i.clients.Kube
	return &node.Client{Nodes: k.Nodes, Events: k.Events, Version: k.Version, AnyName: i.AnyNodeName, Log: i.log, Told: i.tell}
}

func (i *invocation) claims() claim.Claims {
	return claim.Claims{
		Leases: i.clients.Kube.Leases, Namespace: i.LeaseNamespace,
		Holder: i.WorkflowUID, Workflow: i.Workflow, Duration: i.ClaimDuration, Log: i.log,
	}
}

// oneNode is the recycle of one node: the same one when a step starts anew within an attempt.
func (i *invocation) oneNode() *recycle.Recycle {
	if i.recycle == nil {
		k := i.clients.Kube
		pods := &drain.Client{Pods: k.Pods, Budgets: k.Budgets, Attachments: k.Attachments, Claims: k.Claims, Wait: i.wait, Log: i.log}
		i.recycle = recycle.New(i.Recycle, recycle.Clients{
			AWS: i.aws(), Nodes: i.nodesClient(), Pods: pods, Claims: i.claims(), Argo: i.clients.Workflows,
		}, &i.report)
	}
	return i.recycle
}

// manyNodes is the fleet that the step is about.
func (i *invocation) manyNodes() *fleet.Fleet {
	if i.fleet == nil {
		i.fleet = fleet.New(i.Fleet, fleet.Clients{
			AWS: i.aws(), Nodes: i.nodesClient(), Claims: i.claims(), Argo: i.clients.Workflows,
		}, &i.report)
	}
	return i.fleet
}

// dispatcher dispatches an event, or finds lost ones.
func (i *invocation) dispatcher(r dispatch.Request) *dispatch.Dispatcher {
	r.Namespace, r.Workflow, r.DryRun = i.LeaseNamespace, i.Workflow, i.DryRun
	return dispatch.New(r, dispatch.Clients{AWS: i.aws(), Nodes: i.nodesClient(), Argo: i.clients.Workflows}, &i.report)
}

// conclude writes the result and reports the error in the form of the log.
func (i *invocation) conclude(s step, err error, streams Streams) error {
	err = errors.Join(err, i.finish(s, err, streams))
	if err == nil || !jsonLogs(streams.Err, i.Options) {
		return err
	}
	level := slog.LevelError
	if exitCode(err) == argo.ExitNotYet {
		level = slog.LevelInfo // the next attempt goes on; an error is what needs a person
	}
	i.log.Log(context.Background(), level, "step ended", "err", err.Error(), "hint", hint.Of(err), "exit", exitCode(err)) // a pod's log stays one JSON object a line
	return reportedError{err}
}
