package awssim_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// fate makes describing and changing calls to both services, and says how
// each went.
func (w *world) fate(ids []string, rounds int) []string {
	var out []string
	add := func(what string, began time.Time, err error) {
		var api smithy.APIError
		took := time.Since(began).Truncate(time.Second)
		switch {
		case err == nil && took > 0:
			out = append(out, what+" slow")
		case err == nil:
			out = append(out, what+" fine")
		case errors.Is(err, io.ErrUnexpectedEOF):
			out = append(out, what+" dropped")
		case errors.As(err, &api):
			out = append(out, what+" "+api.ErrorCode())
		default:
			out = append(out, fmt.Sprint(what, " ", err))
		}
	}
	for range rounds {
		began := time.Now()
		_, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: ids})
		add("ec2 read", began, err)
		began = time.Now()
		_, err = w.ec2.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: ids, Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		add("ec2 change", began, err)
		began = time.Now()
		_, err = w.asg.DescribeAutoScalingGroups(w.ctx, nil)
		add("asg read", began, err)
		began = time.Now()
		add("asg change", began, w.standby(true, ids[0]))
	}
	return out
}

func TestRandomFaults(t *testing.T) {
	count := func(all []string) map[string]int {
		out := map[string]int{}
		for _, one := range all {
			out[one]++
		}
		return out
	}
	for _, c := range []struct {
		name  string
		kinds []string
		want  []string // each at least once
		never []string
	}{
		{"of all kinds", nil,
			[]string{"ec2 read RequestLimitExceeded", "asg read Throttling", "ec2 read InternalError", "asg read InternalFailure", "asg read ServiceUnavailable",
				"ec2 read dropped", "asg read dropped", "ec2 read slow", "asg change ScalingActivityInProgress", "asg change ResourceContention"},
			[]string{"asg read ScalingActivityInProgress", "asg read ResourceContention", "ec2 change ResourceContention", "ec2 change ScalingActivityInProgress"}},
		{"of one kind", []string{awssim.ChanceThrottling}, []string{"ec2 read RequestLimitExceeded", "asg change Throttling"}, []string{"ec2 read dropped", "asg read InternalFailure", "ec2 read slow"}},
		{"of a kind that fits only some calls", []string{awssim.ChanceContention}, []string{"ec2 read fine", "asg change ResourceContention"}, []string{"ec2 read RequestLimitExceeded"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, func(cfg *awssim.Config) { cfg.Seed = 7 }, func(w *world) {
				ids := w.group(1, 4, 3)
				w.ok(w.sim.Configure(func(cfg *awssim.Config) { cfg.FaultRate, cfg.FaultKinds = 0.5, c.kinds }))
				got := count(w.fate(ids, 100))
				for _, want := range c.want {
					w.want(got[want] > 0, true, want)
				}
				for _, call := range w.sim.Calls(0) {
					lost := call.Fault == awssim.FaultErrorAfter || call.Fault == awssim.FaultDropAfter
					if call.Action == "CreateTags" && call.Fault != "" && call.Fault != awssim.FaultDelay && call.Effect != lost {
						w.Errorf("%s: effect is %v", call.Fault, call.Effect)
					}
				}
				for _, never := range c.never {
					w.want(got[never], 0, never)
				}
			})
		})
	}
}

func TestRandomFaultsAreThoseOfTheSeed(t *testing.T) {
	run := func(seed uint64) (out []string) {
		inWorld(t, func(c *awssim.Config) { c.Seed = seed }, func(w *world) {
			ids := w.group(1, 4, 3)
			w.ok(w.sim.Configure(func(c *awssim.Config) { c.FaultRate = 0.3 }))
			out = w.fate(ids, 20)
		})
		return out
	}
	one, again, other := fmt.Sprint(run(1)), fmt.Sprint(run(1)), fmt.Sprint(run(2))
	if one != again {
		t.Errorf("the same seed gave\n%s\nand\n%s", one, again)
	}
	if one == other {
		t.Error("two seeds gave the same faults")
	}
}

func TestScriptedFaultsComeBeforeRandomOnes(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.FaultRate, c.FaultKinds = 1, []string{awssim.ChanceThrottling} }, func(w *world) {
		w.ok(w.sim.AddFaults(awssim.Fault{Kind: awssim.FaultErrorBefore, Code: "InternalFailure", Message: "scripted", Status: 500}))
		_, err := w.asg.DescribeAutoScalingGroups(w.ctx, nil)
		w.refused(err, "InternalFailure", "scripted")
		_, err = w.asg.DescribeAutoScalingGroups(w.ctx, nil)
		w.refused(err, "Throttling", "Rate exceeded")
	})
}

func TestResourceInUseHitsOnlyWhatCanMeetIt(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.FaultKinds = []string{awssim.ChanceResourceInUse} }, func(w *world) {
		ids := w.group(1, 4, 3)
		w.ok(w.sim.Configure(func(c *awssim.Config) { c.FaultRate = 1 }))
		_, err := w.asg.SuspendProcesses(w.ctx, &autoscaling.SuspendProcessesInput{AutoScalingGroupName: aws.String(name)})
		w.refused(err, "ResourceInUse", "The operation can't be performed because the resource is in use.")
		var inUse *types.ResourceInUseFault
		w.want(errors.As(err, &inUse), true, "the SDK knows it")
		w.want(len(w.describe().SuspendedProcesses), 0, "suspended processes")
		w.ok(w.standby(true, ids[0]))
		w.ok(w.stop(ids[1]))
	})
}
