package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
)

// Reaping say which of the stopped instances a reap terminates.
type Reaping struct {
	OlderThan time.Duration
	Limit     int // 0: all

	templates map[string]bool // of the cluster's groups
}

// Youngest is the least that OlderThan may be: a recycle may still be at work on what was retired later.
const Youngest = time.Hour

// Reaped is an instance that a reap terminated, tried to, or with --dry-run would terminate. Volumes and GiB are those that
// went with it.
type Reaped struct {
	InstanceID string    `json:"instanceId"`
	NodeName   string    `json:"nodeName,omitempty"`
	ASGName    string    `json:"asgName,omitempty"`
	RetiredAt  time.Time `json:"retiredAt"`
	Volumes    int       `json:"volumes"`
	GiB        int       `json:"gib"`
	Outcome    string    `json:"outcome"`

	ended   bool // terminated, or would be
	volumes asg.Volumes
}

// Reap terminates what recycles stopped long ago: the longest retired first, one by one, and on over those that fail. What
// an earlier turn of the same run terminated stays in the result.
func (r *Fleet) Reap(ctx context.Context, o Reaping) error {
	r.Reaped = slices.DeleteFunc(r.Reaped, func(x Reaped) bool { return !x.ended || r.DryRun })
	due, err := r.due(ctx, &o)
	if err != nil {
		return err
	}
	volumes, err := r.volumes(ctx, due)
	if err != nil {
		return err
	}
	var failures []error
	ended, beyond := len(r.Reaped), 0
	for n, i := range due {
		if o.Limit > 0 && ended >= o.Limit {
			beyond = len(due) - n
			break
		}
		x, err := r.reapOne(ctx, i, volumes[i.ID], &o)
		if err != nil {
			failures = append(failures, err)
		}
		if ctx.Err() != nil && err != nil {
			break
		}
		if x.ended {
			ended++
		}
		r.log.InfoContext(ctx, "instance of a recycle", "instance", x.InstanceID, "node", x.NodeName, "asg", x.ASGName, "outcome", x.Outcome)
		if x.ended || err != nil {
			r.Reaped = append(r.Reaped, x)
		}
	}
	text := reapedText(r.Reaped, r.DryRun)
	if beyond > 0 {
		text += fmt.Sprintf("; %d more due, beyond the limit of %d", beyond, o.Limit)
	}
	if err := errors.Join(failures...); err != nil {
		r.log.InfoContext(ctx, "not all could be reaped", "reaped", text)
		return err
	}
	return r.report.Done("%s", text)
}

// due lists what may be reaped, and logs of the rest why not.
func (r *Fleet) due(ctx context.Context, o *Reaping) (due []asg.Instance, err error) {
	retired, err := r.asg.Retired(ctx)
	if err != nil {
		return nil, err
	}
	r.report.Begun = true
	if len(retired) == 0 {
		return nil, nil
	}
	if o.templates, err = r.asg.Templates(ctx, r.Cluster); err != nil {
		return nil, err
	}
	now := time.Now()
	for _, i := range retired {
		if !i.Of(r.Cluster) {
			continue
		}
		why := r.whyNot(i, now, o)
		if why == "" {
			due = append(due, i)
			continue
		}
		r.log.InfoContext(ctx, "instance left alone", "instance", i.ID, "node", i.Tags[asg.TagNode], "because", why)
		if _, err := i.RetiredAt(); err != nil {
			r.report.Warn(ctx, fmt.Sprintf("instance %s is left alone: its tag %s is malformed: %q", i.ID, asg.TagRetiredAt, i.Tags[asg.TagRetiredAt]))
		}
	}
	return due, nil
}

func (r *Fleet) whyNot(i asg.Instance, now time.Time, o *Reaping) string {
	if !i.Of(r.Cluster) {
		return "it is not tagged for cluster " + r.Cluster
	}
	return asg.Reapable(i, now, o.OlderThan, o.templates)
}

// volumes counts the volumes of instances, which is for people to know: without the permission the reap goes on.
func (r *Fleet) volumes(ctx context.Context, of []asg.Instance) (map[string]asg.Volumes, error) {
	var ids []string
	for _, i := range of {
		ids = append(ids, i.ID)
	}
	volumes, err := r.asg.VolumesOf(ctx, ids)
	if awserr.IsDenied(err) {
		r.report.Warn(ctx, fmt.Sprintf("the volumes are not counted, allow ec2:DescribeVolumes: %v", err))
		return nil, nil
	}
	return volumes, err
}

// reapOne looks at the instance again and terminates it.
func (r *Fleet) reapOne(ctx context.Context, i asg.Instance, volumes asg.Volumes, o *Reaping) (Reaped, error) {
	at, _ := i.RetiredAt() // it has been read
	x := Reaped{InstanceID: i.ID, NodeName: i.Tags[asg.TagNode], ASGName: i.Tags[asg.TagGroup], RetiredAt: at, Outcome: "terminated"}
	if r.DryRun {
		x.Outcome = "would be terminated"
	} else {
		why, err := r.asg.Reap(ctx, i.ID, func(i asg.Instance) string { return r.whyNot(i, time.Now(), o) })
		if err != nil {
			x.Outcome = err.Error()
			return x, err
		}
		if why != "" {
			x.Outcome = "left alone: " + why
			return x, nil
		}
	}
	x.ended, x.volumes, x.Volumes, x.GiB = true, volumes, volumes.Freed, volumes.FreedGiB
	r.report.Change("terminate instance %s", i.ID)
	return x, nil
}

// Freed sums the volumes up that went with instances.
func Freed(reaped []Reaped) (instances int, volumes asg.Volumes) {
	for _, x := range reaped {
		if x.ended {
			instances, volumes = instances+1, volumes.Add(x.volumes)
		}
	}
	return instances, volumes
}

func reapedText(reaped []Reaped, dryRun bool) string {
	instances, v := Freed(reaped)
	would := ""
	if dryRun {
		would = "would be "
	}
	text := fmt.Sprintf("%d instance(s) %sterminated, %d volume(s) of %d GiB %sfreed", instances, would, v.Freed, v.FreedGiB, would)
	if v.Stay > 0 {
		text += fmt.Sprintf(", %d volume(s) of %d GiB stay", v.Stay, v.StayGiB)
	}
	return text
}
