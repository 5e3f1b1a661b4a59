// Package recycle takes one node out of service: an instance, its Auto Scaling group and its Node, from standby to the end of
// the instance, or back. Each step observes, returns if all is done, acts and confirms; killed anywhere and run again it
// comes to the same end. It reads no flags and prints nothing: a Request comes in, a report goes out.
package recycle

import (
	"errors"
	"log/slog"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/report"
	"github.com/eks-recycle/eks-recycle/internal/window"
)

// Request is what one recycle needs to know. Exactly one of InstanceID and Node is given; for a sweep, none.
type Request struct {
	InstanceID, Node   string
	Cluster            string // "": not known
	Pods               drain.Selection
	Action             asg.Action
	KeepPods           bool // pods that remain go down with the instance
	EvictOnTimeout     bool
	MaxWait            time.Duration // for the pods that matter, over all attempts
	EvictTimeout       time.Duration // without a pod that goes, over all attempts
	ReplacementTimeout time.Duration
	Fleet              string // that asked for the recycle; a Node that people want it to skip is then left alone
	WorkflowStatus     string // how the workflow ended; for Settle and Complete
	DryRun             bool
	Window             time.Duration // of one attempt
	Maintenance        window.Window // outside of which no pod is evicted and no instance taken away; for Evict and Retire of what no hook began
	ProgressFile       string
	Hook               Hook      // that keeps the instance waiting, if one began this
	NoticedAt          time.Time // when EC2 told of a Spot interruption; for Interrupt
}

// Recycle is one run of one step. Claims names who runs it.
type Recycle struct {
	Request
	asg    *asg.Client
	nodes  *node.Client
	pods   *drain.Client
	claims claim.Claims
	argo   argo.Workflows
	wait   poll.Loop
	log    *slog.Logger
	report *report.Report

	held               *claim.Claim         // once it is claimed
	rebalanceSuspended bool                 // or was before
	missing            map[string]time.Time // since when something could not be found that another source knows
	hook               *asg.Hook            // that keeps the instance waiting, once it is read
	nextBeat           time.Time            // when its next heartbeat is due
	retains            bool                 // the group, an instance whose hook is abandoned
	noAction           time.Time            // since when AWS knows no lifecycle action
	swept              []Leftover           // settled by earlier turns of a sweep
}

// ErrWindow is why the context of an attempt ends; the next one goes on where it stopped.
var ErrWindow = errors.New("the poll window of this attempt ended; run the step again")

// Clients are the ways to AWS, to the cluster and to Argo.
type Clients struct {
	AWS    asg.Client
	Nodes  *node.Client
	Pods   *drain.Client
	Claims claim.Claims
	Argo   argo.Workflows
}

// New makes a recycle. It asks nobody for anything.
func New(request Request, c Clients, out *report.Report) *Recycle {
	if request.Hook.Name != "" {
		request.Maintenance = window.Window{} // AWS does not wait
	}
	r := &Recycle{
		Request: request, asg: &c.AWS, nodes: c.Nodes, pods: c.Pods, claims: c.Claims, argo: c.Argo,
		wait: c.AWS.Wait, log: out.Log, report: out, missing: map[string]time.Time{},
	}
	r.asg.Alone = r.withGroupLock
	r.asg.Guard(request.Cluster)
	r.claims.Ended = r.ended
	return r
}
