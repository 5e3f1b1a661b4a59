// Package dispatch turns events into workflows: it has package event decide what one starts, asks AWS and the cluster whether what
// the event says is true, and creates the workflows. Whoever can write into the queue can make it start only what would be right
// without them. It changes nothing in AWS and nothing on a Node.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/report"
)

// Request is the event: its decisions, and the workflow that received it.
type Request struct {
	Decisions           []event.Decision
	Namespace, Workflow string // of the one that received it, as namespace/name
	Hook                string // lifecycle hook whose lost events Recover looks for; "": none
	DryRun              bool
}

// Clients are the ways to AWS, to the cluster and to Argo.
type Clients struct {
	AWS   asg.Client
	Nodes *node.Client
	Argo  argo.Workflows
}

// Dispatcher dispatches one event.
type Dispatcher struct {
	Request
	asg    *asg.Client
	nodes  *node.Client
	argo   argo.Workflows
	wait   poll.Loop
	log    *slog.Logger
	report *report.Report

	settled  map[string]string // what became of each decision, by name
	started  []string
	infos    []node.Info // the cluster's Nodes, once they are listed
	parentID *string     // instanceID of this workflow's controller, once it is read
}

// New makes a dispatcher. It asks nobody for anything.
func New(request Request, c Clients, out *report.Report) *Dispatcher {
	return &Dispatcher{Request: request, asg: &c.AWS, nodes: c.Nodes, argo: c.Argo, wait: c.AWS.Wait, log: out.Log, report: out, settled: map[string]string{}}
}

// Started are the names of the workflows that the event started, or had started already.
func (d *Dispatcher) Started() []string { return d.started }

// errNotYet says that what an event says may become true in a moment.
var errNotYet = errors.New("it is asked for again")

// untrueError says why an event starts nothing.
type untrueError struct{ because string }

func (e *untrueError) Error() string { return e.because }

func untrue(format string, args ...any) error { return &untrueError{fmt.Sprintf(format, args...)} }

// Dispatch starts the workflows of an event, those of them that are true. That one is not is no failure: the result says why.
func (d *Dispatcher) Dispatch(ctx context.Context) error {
	return d.wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		var waiting []string
		var failures []error
		for _, decision := range d.Decisions {
			if d.settled[decision.Name] != "" {
				continue
			}
			outcome, err := d.dispatch(ctx, decision)
			var no *untrueError
			switch {
			case errors.Is(err, errNotYet):
				waiting = append(waiting, err.Error())
			case errors.As(err, &no):
				d.settled[decision.Name] = "nothing is started: " + no.because
			case err != nil: // one instance of several holds up no other
				failures = append(failures, err)
			default:
				d.settled[decision.Name] = outcome
			}
		}
		if err := errors.Join(failures...); err != nil {
			return false, "", err
		}
		if len(waiting) > 0 {
			return false, strings.Join(waiting, "; "), nil
		}
		var all []string
		for _, decision := range d.Decisions {
			all = append(all, d.settled[decision.Name])
		}
		return true, "", d.report.Done("%s", strings.Join(all, "; "))
	})
}

func (d *Dispatcher) dispatch(ctx context.Context, decision event.Decision) (outcome string, err error) {
	parameters := maps.Clone(decision.Parameters)
	if err := d.check(ctx, decision.Kind, parameters); err != nil {
		return "", err
	}
	if decision.Template == event.RecycleQueued {
		parameters["queue"] = queue(parameters["asg-name"])
	}
	return d.create(ctx, decision, parameters)
}

func (d *Dispatcher) create(ctx context.Context, decision event.Decision, parameters map[string]string) (outcome string, err error) {
	if d.DryRun {
		d.report.Change("workflow %s: create, from the template %s", decision.Name, decision.Template)
		return fmt.Sprintf("would start workflow %s from the template %s", decision.Name, decision.Template), nil
	}
	if !argo.IsWorkflow(d.Workflow) {
		return "", hint.Errorf("argo submit --from workflowtemplate/on-event; with --dry-run it works anywhere", "events are dispatched in a workflow")
	}
	controller, err := d.controller(ctx)
	if err != nil {
		return "", err
	}
	created, err := d.argo.Create(ctx, argo.Triggered{
		Namespace: d.Namespace, Template: decision.Template, Name: decision.Name, Event: string(decision.Kind),
		Instance: parameters["instance-id"], Controller: controller, Parameters: parameters,
	})
	if err != nil {
		return "", err
	}
	d.started = append(d.started, decision.Name)
	if !created {
		return fmt.Sprintf("workflow %s exists already", decision.Name), nil
	}
	d.report.Change("workflow %s: created, from the template %s", decision.Name, decision.Template)
	return fmt.Sprintf("workflow %s is started", decision.Name), nil
}

func (d *Dispatcher) controller(ctx context.Context) (string, error) {
	if d.parentID == nil {
		_, name, _ := strings.Cut(d.Workflow, "/")
		id, err := d.argo.Controller(ctx, d.Namespace, name)
		if err != nil {
			return "", err
		}
		d.parentID = &id
	}
	return *d.parentID, nil
}

// ahead is how far the clocks of AWS may be ahead of ours.
const ahead = 5 * time.Minute

// at reads the time of an event and refuses one that lies in the future. Package event has checked its form.
func at(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, untrue("the event's time %q is none", text)
	}
	if time.Until(t) > ahead {
		return t, untrue("the event is of %s, which is still to come", text)
	}
	return t, nil
}
