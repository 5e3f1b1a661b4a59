package awssim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// warmPool gives the group a pool that prepares so many instances in all.
func (w *world) warmPool(prepared int32, change ...func(*autoscaling.PutWarmPoolInput)) {
	w.Helper()
	in := &autoscaling.PutWarmPoolInput{AutoScalingGroupName: aws.String(name), MaxGroupPreparedCapacity: &prepared, InstanceReusePolicy: &types.InstanceReusePolicy{ReuseOnScaleIn: aws.Bool(true)}}
	for _, c := range change {
		c(in)
	}
	_, err := w.asg.PutWarmPool(w.ctx, in)
	w.ok(err)
}

// pooled are the instances of the pool, by id with their states.
func (w *world) pooled() map[string]string {
	w.Helper()
	out, err := w.asg.DescribeWarmPool(w.ctx, &autoscaling.DescribeWarmPoolInput{AutoScalingGroupName: aws.String(name)})
	w.ok(err)
	states := map[string]string{}
	for _, i := range out.Instances {
		states[*i.InstanceId] = string(i.LifecycleState)
	}
	return states
}

// path are the lifecycle states that an instance has passed.
func (w *world) path(id string) (out []string) {
	for _, e := range w.sim.Events(0) {
		if e.Kind == awssim.KindLifecycle && e.Instance == id {
			out = append(out, e.To)
		}
	}
	return out
}

func TestWarmPool(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, ids []string)
	}{
		{"it fills up to the prepared capacity, with instances that are stopped", func(w *world, ids []string) {
			w.warmPool(5)
			w.pass(5 * time.Second)
			w.want(len(w.pooled()), 2, "in the pool at once")
			w.pass(5 * time.Minute)
			for id, state := range w.pooled() {
				w.want(state, "Warmed:Stopped", "state")
				w.want(w.state(id), "Warmed:Stopped", "state as member")
				w.want(w.instance(id).State.Name, "stopped", "instance")
				w.want(w.path(id), []string{"Warmed:Pending", "Warmed:Stopped"}, "path")
			}
			g := w.describe()
			w.want(len(g.Instances), 3, "instances that the group shows")
			w.want(*g.WarmPoolSize, 2, "size that it shows")
			w.want(*g.WarmPoolConfiguration.InstanceReusePolicy.ReuseOnScaleIn, true, "reuse")
			w.want(*g.DesiredCapacity, 3, "desired")
		}},
		{"a pool of running instances", func(w *world, ids []string) {
			w.warmPool(4, func(in *autoscaling.PutWarmPoolInput) { in.PoolState = types.WarmPoolStateRunning })
			w.pass(5 * time.Minute)
			for id, state := range w.pooled() {
				w.want(state, "Warmed:Running", "state")
				w.want(w.instance(id).State.Name, "running", "instance")
			}
			w.desired(4)
			w.pass(time.Minute)
			w.want(len(w.in("InService")), 4, "in service")
		}},
		{"scale-out takes from it first", func(w *world, ids []string) {
			w.warmPool(4)
			w.pass(5 * time.Minute)
			warm := slices.Collect(maps.Keys(w.pooled()))
			w.desired(4)
			w.pass(time.Minute)
			w.want(w.state(warm[0]), "InService", "the warmed one")
			w.want(w.path(warm[0]), []string{"Warmed:Pending", "Warmed:Stopped", "Pending", "InService"}, "path")
			w.want(len(w.pooled()), 0, "left in the pool")
			w.want(len(w.in("InService")), 4, "in service")
		}},
		{"its minimum is kept up", func(w *world, ids []string) {
			w.warmPool(0, func(in *autoscaling.PutWarmPoolInput) { in.MinSize = aws.Int32(1) })
			w.pass(5 * time.Minute)
			w.desired(4)
			w.pass(5 * time.Minute)
			w.want(len(w.in("InService")), 4, "in service")
			w.want(len(w.pooled()), 1, "in the pool")
		}},
		{"scale-in returns an instance to it, and a scale-out brings the same one back", func(w *world, ids []string) {
			w.warmPool(3)
			w.desired(2)
			w.pass(5 * time.Minute)
			w.want(len(w.pooled()), 1, "in the pool")
			for id, state := range w.pooled() {
				w.want(slices.Contains(ids, id), true, "it is one of those that served")
				w.want(state, "Warmed:Stopped", "state")
				w.desired(3)
				w.pass(time.Minute)
				w.want(w.state(id), "InService", "state again")
				w.want(w.path(id), []string{"Pending", "InService", "Terminating", "Warmed:Pending", "Warmed:Stopped", "Pending", "InService"}, "path")
			}
		}},
		{"a termination that is asked for by name does not return it", func(w *world, ids []string) {
			w.warmPool(3)
			w.ok(w.terminate(true, ids[0]))
			w.pass(5 * time.Minute)
			w.want(w.instance(ids[0]).State.Name, "terminated", "instance")
		}},
		{"without reuse scale-in terminates", func(w *world, ids []string) {
			w.warmPool(3, func(in *autoscaling.PutWarmPoolInput) { in.InstanceReusePolicy = nil })
			w.desired(2)
			w.pass(5 * time.Minute)
			for id := range w.pooled() {
				w.want(slices.Contains(ids, id), false, "it is one of those that served")
			}
		}},
		{"deleted, its instances go and those in service stay", func(w *world, ids []string) {
			w.warmPool(5)
			w.pass(5 * time.Minute)
			_, err := w.asg.DeleteWarmPool(w.ctx, &autoscaling.DeleteWarmPoolInput{AutoScalingGroupName: aws.String(name)})
			w.ok(err)
			w.pass(5 * time.Second)
			w.want(w.describe().WarmPoolConfiguration.Status, "PendingDelete", "status")
			w.pass(5 * time.Minute)
			w.want(w.describe().WarmPoolConfiguration == nil, true, "no pool")
			w.want(w.in("InService"), ids, "in service")
		}},
		{"an instance of the pool can be terminated, but not put on standby", func(w *world, ids []string) {
			w.warmPool(4)
			w.pass(5 * time.Minute)
			for id := range w.pooled() {
				w.refused(w.standby(false, id), "ValidationError", "The instance %s is not in InService.", id)
				w.ok(w.terminate(false, id))
				w.want(w.state(id), "Warmed:Terminating", "state")
				w.pass(5 * time.Minute)
				w.want(w.instance(id).State.Name, "terminated", "instance")
			}
			w.want(len(w.pooled()), 1, "another one is there")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) { c.story(w, w.group(1, 6, 3)) })
		})
	}
}

func TestHooksOfAWarmPoolSayWhereFromAndWhereTo(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.group(1, 6, 3)
		_, err := w.sim.LoadTemplate("pool", []byte(`{"Resources":{"Q":{"Type":"AWS::SQS::Queue","Properties":{"QueueName":"hooks"}}}}`), nil)
		w.ok(err)
		for hook, transition := range map[string]string{"launch": "autoscaling:EC2_INSTANCE_LAUNCHING", "terminate": "autoscaling:EC2_INSTANCE_TERMINATING"} {
			_, err := w.asg.PutLifecycleHook(w.ctx, &autoscaling.PutLifecycleHookInput{AutoScalingGroupName: aws.String(name), LifecycleHookName: &hook, LifecycleTransition: &transition,
				HeartbeatTimeout: aws.Int32(30), DefaultResult: aws.String("CONTINUE"), NotificationTargetARN: aws.String("arn:aws:sqs:" + region + ":000000000000:hooks"), RoleARN: aws.String("arn:aws:iam::000000000000:role/r")})
			w.ok(err)
		}
		w.warmPool(3)
		w.desired(2)
		w.pass(5 * time.Minute)
		w.desired(3)
		w.pass(5 * time.Minute)
		w.warmPool(4)
		w.pass(5 * time.Minute)
		w.warmPool(3)
		w.pass(5 * time.Minute)
		messages, err := w.sim.Messages("hooks")
		w.ok(err)
		var got []string
		for _, m := range messages {
			if from, to := between(m.Body, `"Origin":"`), between(m.Body, `"Destination":"`); from != "" {
				got = append(got, from+" to "+to)
			}
		}
		w.want(got, []string{"AutoScalingGroup to WarmPool", "WarmPool to AutoScalingGroup", "EC2 to WarmPool", "WarmPool to EC2"}, "transitions")
	})
}

func TestTheNodeOutlivesTheWarmPool(t *testing.T) {
	kube := fake.NewClientset()
	inWorld(t, func(c *awssim.Config) { c.Kubernetes, c.MarkNodesReady = kube, true }, func(w *world) {
		w.group(1, 6, 3)
		w.warmPool(4)
		w.pass(5 * time.Minute)
		nodes := func() map[string]string {
			list, err := kube.CoreV1().Nodes().List(w.ctx, metav1.ListOptions{})
			w.ok(err)
			out := map[string]string{}
			for _, n := range list.Items {
				out[n.Name] = string(n.UID) + fmt.Sprint(len(n.Spec.Taints))
			}
			return out
		}
		before := nodes()
		w.want(len(before), 3, "nodes: one that never left the pool has none")
		w.desired(2)
		w.pass(5 * time.Minute)
		w.want(len(nodes()), 3, "nodes while one is in the pool")
		w.desired(4)
		w.pass(5 * time.Minute)
		after := nodes()
		w.want(len(after), 4, "nodes in the end")
		for node, was := range before {
			w.want(after[node], was, "node "+node+" is the same object, without a taint")
		}
	})
}

// between is the text after a mark up to the next quotation mark.
func between(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	out, _, _ := strings.Cut(rest, `"`)
	return out
}
