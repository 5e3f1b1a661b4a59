// Package fleet is about many nodes: it selects those to recycle, has each recycled by a workflow of its own within a budget,
// says what came of them, and terminates what recycles stopped long ago. How one node is recycled is the business of
// package recycle; a fleet knows no more of it than the name of the WorkflowTemplate.
package fleet

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/gate"
	"github.com/eks-recycle/eks-recycle/internal/node"
	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/report"
	"github.com/eks-recycle/eks-recycle/internal/window"
)

// Criteria say where to look for nodes, which of them to recycle, and how many. Without a reason to recycle, all are meant.
type Criteria struct {
	ASGs, NodeGroups                 []string
	Tags                             []asg.TagMatch
	NodeSelector                     labels.Selector
	MinAge                           time.Duration
	Drifted, KubeletOlder, Requested bool
	Conditions                       []node.Condition
	LaunchedBefore                   time.Time
	Limit                            int // 0: all
}

// source is what of the criteria says which groups to read.
func (c Criteria) source(cluster string) asg.Source {
	return asg.Source{Names: c.ASGs, NodeGroups: c.NodeGroups, Cluster: cluster, Tags: c.Tags}
}

// byNodeOnly says that no group is named: they are those of the instances behind the Nodes.
func (c Criteria) byNodeOnly() bool { return len(c.ASGs)+len(c.NodeGroups)+len(c.Tags) == 0 }

// Request says which nodes are meant, how many are recycled at a time, and when no more of them.
type Request struct {
	Criteria Criteria
	Limits
	Cluster        string // "": not known
	DryRun         bool
	Window         window.Window // outside of which no recycle is started
	StopOnFailure  bool
	StartFor       time.Duration     // 0: no bound
	StartedAt      time.Time         // of the fleet's first attempt
	Template       string            // WorkflowTemplate that recycles one node
	Parameters     map[string]string // of each recycle, besides those that name the node and the fleet
	WorkflowStatus string            // how the fleet's workflow ended; for Finish
	StopChildren   bool              // for Finish: those that still run
	ProgressFile   string
	Gate           *gate.Gate // between two nodes; nil is open
}

// Clients are the ways to AWS, to the cluster and to Argo.
type Clients struct {
	AWS    asg.Client
	Nodes  *node.Client
	Claims claim.Claims
	Argo   argo.Workflows
}

// Fleet is one run of a step that is about many nodes. Claims names who runs it. Summary and Reaped are results of Run and
// Finish, and of Reap; Planned is that of a dry run.
type Fleet struct {
	Request
	Summary *Summary
	Reaped  []Reaped
	Planned []Candidate

	asg    *asg.Client
	nodes  *node.Client
	claims claim.Claims
	argo   argo.Workflows
	wait   poll.Loop
	log    *slog.Logger
	report *report.Report
}

// New makes a fleet. It asks nobody for anything.
func New(request Request, c Clients, out *report.Report) *Fleet {
	if request.StartedAt.IsZero() {
		request.StartedAt = time.Now()
	}
	return &Fleet{
		Request: request, asg: &c.AWS, nodes: c.Nodes, claims: c.Claims, argo: c.Argo,
		wait: c.AWS.Wait, log: out.Log, report: out,
	}
}

// parent is the workflow that the fleet runs in.
func (r *Fleet) parent() argo.Parent {
	_, name, _ := strings.Cut(r.claims.Workflow, "/")
	return argo.Parent{Name: name, UID: r.claims.Holder}
}

// parameters are those of the recycle of one node.
func (r *Fleet) parameters(c Candidate) map[string]string {
	all := maps.Clone(r.Parameters)
	all["instance-id"], all["fleet"] = c.InstanceID, r.claims.Workflow
	return all
}

// inProgress are the nodes that anybody recycles now: the children of all fleets, and claims on instances.
func (r *Fleet) inProgress(ctx context.Context) ([]argo.Child, error) {
	all, err := r.argo.Running(ctx, r.claims.Namespace)
	if err != nil {
		return nil, err
	}
	records, _, err := r.claims.Records(ctx)
	for _, record := range records {
		if record.Live() {
			all = append(all, argo.Child{Instance: record.InstanceID, Group: record.Group})
		}
	}
	return all, err
}

// child is the Workflow that recycles a node.
func (r *Fleet) child(c Candidate) argo.Child {
	return argo.Child{Name: argo.ChildName(c.InstanceID), Fleet: r.claims.Holder, Instance: c.InstanceID, Node: c.NodeName, Group: c.ASGName, Zone: c.Zone}
}
