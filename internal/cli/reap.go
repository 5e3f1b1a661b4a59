package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
)

// ReapOptions say which of the stopped instances a reap terminates.
type ReapOptions struct {
	OlderThan time.Duration
	Limit     int // 0: all
}

// youngest is the least that OlderThan may be: a recycle may still be at work on what was retired later.
const youngest = time.Hour

func reapFlags() []cli.Flag {
	return []cli.Flag{
		length("older-than", 7*24*time.Hour, "how long ago an instance must have been retired"),
		&cli.IntFlag{Name: "limit", EnvVars: env("limit"), Usage: "terminate at most `N` instances; 0 means all"},
	}
}

func readReap(c *cli.Context, o *Options) error {
	o.Reap.Limit, o.Reap.OlderThan = c.Int("limit"), duration(c, "older-than")
	switch {
	case o.Reap.OlderThan < youngest:
		return fmt.Errorf("--older-than must be at least %s", youngest)
	case o.Reap.Limit < 0:
		return fmt.Errorf("--limit must not be negative")
	}
	return nil
}

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

// reap terminates what recycles stopped long ago: the longest retired first, one by one, and on over those that fail. What
// an earlier turn of the same run terminated stays in the result.
func reap(ctx context.Context, r *session) error {
	r.result.Reaped = slices.DeleteFunc(r.result.Reaped, func(x Reaped) bool { return !x.ended || r.DryRun })
	due, err := r.due(ctx)
	if err != nil {
		return err
	}
	volumes, err := r.volumes(ctx, due)
	if err != nil {
		return err
	}
	var failures []error
	ended, beyond := len(r.result.Reaped), 0
	for n, i := range due {
		if r.Reap.Limit > 0 && ended >= r.Reap.Limit {
			beyond = len(due) - n
			break
		}
		x, err := r.reapOne(ctx, i, volumes[i.ID])
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
			r.result.Reaped = append(r.result.Reaped, x)
		}
	}
	text := reapedText(r.result.Reaped, r.DryRun)
	if beyond > 0 {
		text += fmt.Sprintf("; %d more due, beyond the limit of %d", beyond, r.Reap.Limit)
	}
	if err := errors.Join(failures...); err != nil {
		r.log.InfoContext(ctx, "not all could be reaped", "reaped", text)
		return err
	}
	return r.done("%s", text)
}

// due lists what may be reaped, and logs of the rest why not.
func (r *session) due(ctx context.Context) (due []asg.Instance, err error) {
	retired, err := r.asg.Retired(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for _, i := range retired {
		if !i.Of(r.Cluster) {
			continue
		}
		why := r.whyNot(i, now)
		if why == "" {
			due = append(due, i)
			continue
		}
		r.log.InfoContext(ctx, "instance left alone", "instance", i.ID, "node", i.Tags[asg.TagNode], "because", why)
		if _, err := i.RetiredAt(); err != nil {
			r.warn(ctx, fmt.Sprintf("instance %s is left alone: its tag %s is malformed: %q", i.ID, asg.TagRetiredAt, i.Tags[asg.TagRetiredAt]))
		}
	}
	return due, nil
}

func (r *session) whyNot(i asg.Instance, now time.Time) string {
	if !i.Of(r.Cluster) {
		return "it is not tagged for cluster " + r.Cluster
	}
	return asg.Reapable(i, now, r.Reap.OlderThan)
}

// volumes counts the volumes of instances, which is for people to know: without the permission the reap goes on.
func (r *session) volumes(ctx context.Context, of []asg.Instance) (map[string]asg.Volumes, error) {
	var ids []string
	for _, i := range of {
		ids = append(ids, i.ID)
	}
	volumes, err := r.asg.VolumesOf(ctx, ids)
	if awserr.IsDenied(err) {
		r.warn(ctx, fmt.Sprintf("the volumes are not counted, allow ec2:DescribeVolumes: %v", err))
		return nil, nil
	}
	return volumes, err
}

// reapOne looks at the instance again and terminates it.
func (r *session) reapOne(ctx context.Context, i asg.Instance, volumes asg.Volumes) (Reaped, error) {
	at, _ := i.RetiredAt() // it has been read
	x := Reaped{InstanceID: i.ID, NodeName: i.Tags[asg.TagNode], ASGName: i.Tags[asg.TagGroup], RetiredAt: at, Outcome: "terminated"}
	if r.DryRun {
		x.Outcome = "would be terminated"
	} else {
		why, err := r.asg.Reap(ctx, i.ID, func(i asg.Instance) string { return r.whyNot(i, time.Now()) })
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
	r.change("terminate instance %s", i.ID)
	return x, nil
}

// freed sums the volumes up.
func freed(reaped []Reaped) (instances int, volumes asg.Volumes) {
	for _, x := range reaped {
		if x.ended {
			instances, volumes = instances+1, volumes.Add(x.volumes)
		}
	}
	return instances, volumes
}

func reapedText(reaped []Reaped, dryRun bool) string {
	instances, v := freed(reaped)
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
