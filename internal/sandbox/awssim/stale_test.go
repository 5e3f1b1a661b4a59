package awssim_test

import (
	"errors"
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

const lag = 10 * time.Second

func TestStaleReads(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"a change is seen by some reads and not by others, and by all once the lag is over", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.pass(5 * time.Second)
			seen := map[types.LifecycleState]int{}
			for range 40 {
				seen[w.state(ids[0])]++
			}
			w.want(seen["InService"] > 0 && seen["EnteringStandby"] > 0, true, "both seen")
			w.pass(5*time.Second + time.Millisecond)
			for range 40 {
				w.want(w.state(ids[0]), "EnteringStandby", "state after the lag")
			}
		}},
		{"changes act on what is true", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			for range 5 {
				w.refused(w.standby(false, ids[0]), "ValidationError", "The instance %s is not in InService.", ids[0])
			}
		}},
		{"a new instance is unknown to EC2 for a while", func(w *world, _ []string) {
			id, err := w.sim.AddInstance(awssim.InstanceSpec{})
			w.ok(err)
			w.pass(time.Second)
			unknown := 0
			for range 40 {
				_, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
				var api smithy.APIError
				if errors.As(err, &api) && api.ErrorCode() == "InvalidInstanceID.NotFound" {
					unknown++
				} else {
					w.ok(err)
				}
			}
			w.want(unknown > 0 && unknown < 40, true, "unknown to some reads")
			w.pass(lag)
			w.instance(id)
		}},
		{"tags, sizes, suspensions and activities lag too", func(w *world, ids []string) {
			w.desired(4)
			w.suspend("AZRebalance")
			_, err := w.ec2.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: ids[:1], Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
			w.ok(err)
			w.pass(5 * time.Second)
			fresh := map[string]int{}
			for range 40 {
				g := w.describe()
				if *g.DesiredCapacity == 4 {
					fresh["desired"]++
				}
				if len(g.SuspendedProcesses) == 1 {
					fresh["suspended"]++
				}
				if len(g.Instances) == 4 {
					fresh["members"]++
				}
				if len(w.activities()) == 4 {
					fresh["activities"]++
				}
				for _, tag := range w.instance(ids[0]).Tags {
					if *tag.Key == "k" {
						fresh["tag"]++
					}
				}
			}
			for _, what := range []string{"desired", "suspended", "members", "activities", "tag"} {
				w.want(fresh[what] > 0 && fresh[what] < 40, true, what+" fresh in some reads")
			}
		}},
		{"what is resumed or overwritten stays suspended and as it was to some reads", func(w *world, _ []string) {
			w.suspend("AZRebalance", "Launch")
			tag := func(value string) {
				_, err := w.asg.CreateOrUpdateTags(w.ctx, &autoscaling.CreateOrUpdateTagsInput{Tags: []types.Tag{{
					ResourceId: aws.String(name), ResourceType: aws.String("auto-scaling-group"), Key: aws.String("k"), Value: &value, PropagateAtLaunch: aws.Bool(false)}}})
				w.ok(err)
			}
			tag("old")
			w.pass(lag + time.Second)
			w.resume("AZRebalance")
			tag("new")
			w.pass(5 * time.Second)
			seen := map[string]int{}
			for range 40 {
				g := w.describe()
				for _, p := range g.SuspendedProcesses {
					seen[*p.ProcessName]++
				}
				for _, tag := range g.Tags {
					seen[*tag.Value]++
				}
			}
			w.want(seen["Launch"], 40, "still suspended")
			for _, what := range []string{"AZRebalance", "old", "new"} {
				w.want(seen[what] > 0 && seen[what] < 40, true, what+" in some reads")
			}
		}},
		{"a describing call changes nothing", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			for range 20 {
				w.describe()
				w.pass(time.Second)
			}
			w.pass(5 * time.Minute)
			w.want(w.state(ids[0]), "Standby", "state")
			w.want(len(w.in("InService")), 3, "in service")
			w.want(len(w.sim.State().Instances), 4, "instances")
		}},
		{"switched off, answers are consistent again", func(w *world, ids []string) {
			w.ok(w.standby(false, ids[0]))
			w.ok(w.sim.Configure(func(c *awssim.Config) { c.StaleReads = 0 }))
			for range 20 {
				w.want(w.state(ids[0]), "EnteringStandby", "state")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.group(1, 4, 3)
				w.ok(w.sim.Configure(func(c *awssim.Config) { c.StaleReads = lag }))
				w.pass(lag)
				c.story(w, ids)
			})
		})
	}
}
