package recycle

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// Drain waits for the pods that matter. It touches none.
func (r *Recycle) Drain(ctx context.Context) error {
	s, err := r.locate(ctx)
	if err != nil {
		return r.doneIfGone(err)
	}
	if r.DryRun {
		return r.planDrain(ctx, s.node)
	}
	if err := checkCordoned(s); err != nil {
		return err
	}
	return r.goesOn(ctx, s, func(ctx context.Context) error {
		n, err := r.requireCordoned(ctx, s)
		if err != nil {
			return err
		}
		if err := r.draining(ctx); err != nil {
			return err
		}
		end := r.drainEnds(r.held.Record())
		result, err := r.awaitPods(ctx, n, end)
		r.waiting(result.Left)
		if len(result.Lost) > 0 {
			r.warnOf(ctx, n, "RecycleLostPods", fmt.Sprintf("%d pod(s) on node %s are lost, as their deletion is overdue and the Node is not Ready: %s", len(result.Lost), n.Name, drain.Describe(result.Lost)))
		}
		switch {
		case err != nil:
			return err
		case result.TimedOut && !r.EvictOnTimeout:
			for _, p := range result.Left[:min(len(result.Left), maxWarned)] {
				r.nodes.PodWarning(ctx, p, "RecycleTimedOut", fmt.Sprintf("node %s is being recycled, and this pod still ran %s: the node stays cordoned", n.Name, end.text))
			}
			r.nodes.WarningEvent(ctx, n, "RecycleTimedOut", fmt.Sprintf("%d pod(s) still ran %s", len(result.Left), end.text))
			return stillRun(n.Name, result.Left, end)
		case result.TimedOut:
			r.report.Warn(ctx, fmt.Sprintf("%d pod(s) on node %s still run %s and will be evicted: %s", len(result.Left), n.Name, end.text, drain.Describe(result.Left)))
			return r.report.Done("gave up waiting for %d pod(s) on node %s %s", len(result.Left), n.Name, end.text)
		}
		r.nodes.Event(ctx, n, "RecycleDrained", "the pods that matter have finished: "+r.Pods.String())
		return r.report.Done("node %s is drained, waited for %s", n.Name, r.Pods)
	})
}

// maxWarned is on how many pods a recycle warns.
const maxWarned = 10

// draining writes down when the wait for pods began, and for which.
func (r *Recycle) draining(ctx context.Context) error {
	return r.held.Update(ctx, func(record *claim.Record) {
		if record.DrainingSince.IsZero() {
			record.DrainingSince = time.Now().UTC().Truncate(time.Second)
		}
		r.Request.write(record)
	})
}

func stillRun(node string, left []*corev1.Pod, end ending) error {
	return hint.Errorf(end.advice, "%d pod(s) on node %q still run %s: %s", len(left), node, end.text, drain.Describe(left))
}

func (r *Recycle) planDrain(ctx context.Context, n *corev1.Node) error {
	now, err := r.pods.Left(ctx, r.host(n), r.Pods)
	if err != nil {
		return err
	}
	r.waiting(now.Left)
	text := fmt.Sprintf("would wait for %d pod(s) on node %s (%s)", len(now.Left), n.Name, r.Pods)
	if len(now.Left) > 0 {
		text += ": " + drain.Describe(now.Left)
	}
	return r.report.Done("%s", text)
}

func (r *Recycle) waiting(left []*corev1.Pod) {
	r.report.Waiting(podNames(left))
}

func podNames(pods []*corev1.Pod) (names []string) {
	for _, p := range pods {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return names
}

// reportPods logs the pods waited for, oldest first, and writes Argo's progress file.
func (r *Recycle) reportPods(ctx context.Context, n *corev1.Node) func(drain.Result) {
	return func(now drain.Result) {
		if !now.Drained() {
			r.log.InfoContext(ctx, "waiting for pods to finish", "node", n.Name, "left", len(now.Left), "finished", now.Finished, "pods", drain.Describe(now.Left))
		}
		if err := argo.Progress(r.ProgressFile, now.Finished, now.Finished+len(now.Left)); err != nil {
			r.log.WarnContext(ctx, "reporting progress", "err", err)
		}
	}
}

// ending is when the wait for pods ends, and why: hook says that it is the lifecycle hook that does not wait longer.
type ending struct {
	at           time.Time
	hook         bool
	text, advice string
}

// LongestWait is how long pods can be waited for: Argo's retries and the deadlines of the templates are made for it. A run that is
// given no time, as the exit handler of a lifecycle hook, waits so long.
const LongestWait = 14 * 24 * time.Hour

// drainEnds counts from the first attempt of the first workflow, or from the lifecycle event if its hook waits less long. Of
// the hook's time it leaves a tenth, 15 minutes at most, to evict what is left. Nothing has begun without a time.
func (r *Recycle) drainEnds(record claim.Record) ending {
	started := record.DrainingSince
	if started.IsZero() || started.After(time.Now()) {
		started = time.Now()
	}
	end := ending{
		at: started.Add(cmp.Or(r.MaxWait, LongestWait)), text: "after " + r.MaxWait.String(),
		advice: "submit again with a longer max-wait, or with on-timeout=evict; step restore brings the node back",
	}
	if r.hook == nil || r.retains {
		return end
	}
	end.advice = "on-timeout=evict would have evicted them; on-failure says whether the instance waits on until the hook's heartbeat timeout"
	last := r.hookGivenUp(started)
	if last.Before(end.at) {
		end.at, end.hook = last, true
		end.text = fmt.Sprintf("when the %s that lifecycle hook %s waits in all are nearly over", r.hook.Global, r.Hook.Name)
	}
	return end
}
