package asg

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
)

// Capacity is how many instances of a group were in service, and how many it wanted, from a moment on.
type Capacity struct {
	At                 time.Time
	InService, Desired int
}

// Bounds of what is read of a group's activities: what began so long before may have ended since, and that many pages of 100.
const (
	activitiesBefore = 15 * 24 * time.Hour
	activityPages    = 50
)

// Capacities is a group's capacity over time, since a moment and up to now. AWS keeps no history of it: it follows from the group as it
// is and from its scaling activities, which are kept for six weeks. A group with weights has none, as activities name no weights.
func (c *Client) Capacities(ctx context.Context, group string, since time.Time) ([]Capacity, error) {
	g, err := c.Group(ctx, group)
	if err != nil || g.Weighted {
		return nil, err
	}
	var all []astypes.Activity
	in := &autoscaling.DescribeScalingActivitiesInput{AutoScalingGroupName: aws.String(group), MaxRecords: aws.Int32(100)}
	for range activityPages {
		page, err := c.Reader.DescribeScalingActivities(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describing scaling activities of Auto Scaling group %q: %w", group, err)
		}
		all = append(all, page.Activities...) // newest first
		if in.NextToken = page.NextToken; aws.ToString(in.NextToken) == "" || aws.ToTime(all[len(all)-1].StartTime).Before(since.Add(-activitiesBefore)) {
			break
		}
	}
	return capacities(g, all, since, time.Now()), nil
}

// served says that an instance serves from a moment on, or not any more.
type served struct {
	at time.Time
	is bool
}

// wanted is a change of a group's desired capacity.
type wanted struct {
	at       time.Time
	from, to int
}

func capacities(g Group, activities []astypes.Activity, since, now time.Time) (points []Capacity) {
	instances, desires := map[string][]served{}, []wanted{}
	for _, a := range activities {
		id, s, ok := effect(a)
		if ok {
			instances[id] = append(instances[id], s)
		}
		desires = append(desires, changesOfDesired(a)...)
	}
	for _, m := range g.Members {
		if _, seen := instances[m.ID]; !seen && m.Lifecycle == InService {
			instances[m.ID] = []served{{time.Time{}, true}} // since before the activities
		}
	}
	times := []time.Time{since, now}
	for _, all := range instances {
		slices.SortFunc(all, func(a, b served) int { return a.at.Compare(b.at) })
		for _, s := range all {
			times = append(times, s.at)
		}
	}
	slices.SortFunc(desires, func(a, b wanted) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.from, b.from)) })
	for _, d := range desires {
		times = append(times, d.at)
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, at := range slices.CompactFunc(times, time.Time.Equal) {
		if at.Before(since) || at.After(now) {
			continue
		}
		p := Capacity{At: at, Desired: desiredAt(desires, int(g.Desired), at)}
		for _, all := range instances {
			if servesAt(all, at) {
				p.InService++
			}
		}
		if n := len(points); n == 0 || points[n-1].InService != p.InService || points[n-1].Desired != p.Desired {
			points = append(points, p)
		}
	}
	return points
}

// servesAt is what the last change before says; before the first one it was the other way round.
func servesAt(all []served, at time.Time) (is bool) {
	if len(all) > 0 {
		is = !all[0].is
	}
	for _, s := range all {
		if !s.at.After(at) {
			is = s.is
		}
	}
	return is
}

func desiredAt(all []wanted, now int, at time.Time) int {
	if len(all) == 0 {
		return now
	}
	desired := all[0].from
	for _, d := range all {
		if !d.at.After(at) {
			desired = d.to
		}
	}
	return desired
}

var (
	instanceInText = regexp.MustCompile(`\bi-[0-9a-f]{8,17}\b`)
	desiredInCause = regexp.MustCompile(`At (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)[^.]*? changing the desired capacity from (\d+) to (\d+)`)
	movesInCause   = regexp.MustCompile(`At (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)[^.]*? in response to a user request, (?:shrinking|increasing) the capacity from (\d+) to (\d+)`)
)

// effect is whether an activity brings an instance into service or takes it out. The texts are those of Auto Scaling
// (https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-verify-scaling-activity.html).
func effect(a astypes.Activity) (id string, s served, ok bool) {
	text := aws.ToString(a.Description)
	id = instanceInText.FindString(text)
	switch {
	case id == "":
		return "", s, false
	case strings.HasPrefix(text, "Terminating"), strings.HasPrefix(text, "Detaching"), strings.Contains(text, "to Standby"):
		return id, served{aws.ToTime(a.StartTime), false}, true
	case strings.HasPrefix(text, "Launching"), strings.HasPrefix(text, "Attaching"), strings.Contains(text, "out of Standby"):
		return id, served{aws.ToTime(a.EndTime), true}, a.StatusCode == astypes.ScalingActivityStatusCodeSuccessful && a.EndTime != nil
	}
	return "", s, false
}

// changesOfDesired reads how an activity's cause says that the desired capacity changed. What happens "in response to a difference between
// desired and actual capacity" changes the actual one.
func changesOfDesired(a astypes.Activity) (all []wanted) {
	cause := aws.ToString(a.Cause)
	found := append(desiredInCause.FindAllStringSubmatch(cause, -1), movesInCause.FindAllStringSubmatch(cause, -1)...)
	for _, m := range found {
		at, err := time.Parse(time.RFC3339, m[1])
		from, errFrom := strconv.Atoi(m[2])
		to, errTo := strconv.Atoi(m[3])
		if err == nil && errFrom == nil && errTo == nil {
			all = append(all, wanted{at, from, to})
		}
	}
	return all
}
