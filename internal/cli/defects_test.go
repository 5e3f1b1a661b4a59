package cli_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// What the system that this one replaces got wrong and no other test shows. docs/defects.md lists all.

func TestASecondAttemptStillKnowsTheSelector(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close(w.ids[0])
		w.pod(w.ids[0], "chosen", 25*time.Minute, func(p *corev1.Pod) { p.Labels = map[string]string{"app": "chosen"} })
		w.pod(w.ids[0], "other", 0, nil)
		flags := []string{"--instance-id", w.ids[0], "--label-selector", "app=chosen", "--poll-window", "10m"}
		for attempt, want := range []int{75, 75, 0} {
			o := w.step("drain", flags...)
			if o.code != want {
				w.Fatalf("attempt %d: exit %d, want %d: %s", attempt+1, o.code, want, o.result.Message)
			}
			if want == 75 && !slices.Equal(o.result.Pods, []string{"default/chosen"}) {
				w.Errorf("attempt %d waits for %v", attempt+1, o.result.Pods)
			}
		}
	})
}

func TestRegionsOfEveryLength(t *testing.T) {
	for _, region := range []string{"us-east-1", "eu-central-1", "ap-southeast-1", "us-gov-west-1"} {
		t.Run(region, func(t *testing.T) {
			inWorld(t, func(c *awssim.Config) { c.Region, c.NodeNaming = region, awssim.NamingResource }, func(w *world) {
				o := w.done("standby", "--instance-id", w.ids[0])
				if o.result.Region != region {
					w.Errorf("output parameter region is %q", o.result.Region)
				}
				w.recycle(w.ids[0])
				w.whole(w.ids[1:]...)
			})
		})
	}
}

func TestTheLeavingNodeRepelsNewPodsFromTheFirstSecond(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.sim.Configure(func(c *awssim.Config) { c.Boot = 10 * time.Minute }); err != nil {
			w.Fatal(err)
		}
		standby := make(chan outcome)
		go func() { standby <- w.step("standby", "--instance-id", w.ids[0]) }()
		time.Sleep(time.Second)
		if n := w.nodeOf(w.ids[0]); effects(n) != "PreferNoSchedule" || n.Spec.Unschedulable {
			w.Errorf("while the replacement boots: taints %v, unschedulable %t; want pods to be repelled, and yet allowed", n.Spec.Taints, n.Spec.Unschedulable)
		}
		if o := <-standby; o.code != 0 {
			w.Fatalf("exit %d: %s", o.code, o.result.Message)
		}
		w.done("taint", "--instance-id", w.ids[0])
		if n := w.nodeOf(w.ids[0]); effects(n) != "NoSchedule" || !n.Spec.Unschedulable {
			w.Errorf("once the replacement serves: taints %v, unschedulable %t; want no new pods", n.Spec.Taints, n.Spec.Unschedulable)
		}
	})
}

func effects(n *corev1.Node) string {
	var effects []string
	for _, taint := range n.Spec.Taints {
		effects = append(effects, string(taint.Effect))
	}
	return strings.Join(effects, ",")
}

func TestTheInstanceIsStoppedOnlyOnceItHasLeftItsGroup(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.Detaching = 9 * time.Minute }, func(w *world) {
		w.Log("an instance with no tags but those of Auto Scaling, which go with the detach")
		_, err := w.ec2.DeleteTags(w.Context(), &ec2.DeleteTagsInput{Resources: []string{w.ids[0]}, Tags: []types.Tag{{Key: aws.String("kubernetes.io/cluster/sandbox")}}})
		if err != nil {
			w.Fatal(err)
		}
		w.recycle(w.ids[0])
		w.whole(w.ids[1:]...)
		if state := w.instanceState(w.ids[0]); state != "stopped" {
			w.Errorf("instance is %s", state)
		}
		at := map[string]time.Time{}
		for _, call := range w.sim.Calls(0) {
			at[call.Action] = call.Time
		}
		if waited := at["StopInstances"].Sub(at["DetachInstances"]); waited < 9*time.Minute {
			w.Errorf("the instance was stopped %s after the detach began, which takes 9m", waited)
		}
	})
}

// Argo counts the attempts of a step, each of which is a pod and a line in the Workflow.
func TestAWaitOfTwoWeeksTakesFewAttemptsAndThenEnds(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close(w.ids[0])
		w.pod(w.ids[0], "endless", 0, nil)
		attempts := 0
		for {
			attempts++
			began := time.Now()
			o := w.step("drain", "--instance-id", w.ids[0], "--max-wait", "14d", "--poll-window", "20m", "--attempt", strconv.Itoa(attempts-1))
			if took := time.Since(began); took > 24*time.Hour+time.Minute {
				w.Errorf("attempt %d took %s", attempts, took)
			}
			if o.code == 75 {
				continue
			}
			if o.code != 1 || !strings.Contains(o.result.Message, "still run after 336h0m0s: default/endless") {
				w.Errorf("exit %d: %s", o.code, o.result.Message)
			}
			break
		}
		if attempts > 20 {
			w.Errorf("it took %d attempts", attempts)
		}
	})
}

func TestAnInstanceOfAnotherClusterIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.loner(awssim.InstanceSpec{Tags: map[string]string{"kubernetes.io/cluster/elsewhere": "owned"}})
		w.namesake(id)
		for _, name := range []string{"standby", "taint", "drain", "evict", "retire", "restore"} {
			o := w.step(name, "--instance-id", id)
			if o.code != 1 {
				w.Errorf("step %s: exit %d: %s", name, o.code, o.result.Message)
			}
			if name == "standby" && !strings.Contains(o.result.Message, `has no Node in this cluster; it is tagged for cluster "elsewhere"`) {
				w.Errorf("step standby says %q", o.result.Message)
			}
		}
		if actions := w.actions(); len(actions) > 0 {
			w.Errorf("calls: %v", actions)
		}
		w.whole(w.ids...)
	})
}

func TestANodeTaggedForAnotherClusterThanTheOneNamedIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := w.step("standby", "--instance-id", w.ids[0], "--cluster", "elsewhere")
		if o.code != 1 || !strings.Contains(o.result.Message, `is tagged for cluster "sandbox", not for "elsewhere"`) {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		w.whole(w.ids...)
	})
}

// loner launches an instance of no group.
func (w *world) loner(spec awssim.InstanceSpec) string {
	w.Helper()
	id, err := w.sim.AddInstance(spec)
	if err != nil {
		w.Fatal(err)
	}
	time.Sleep(2 * time.Minute)
	return id
}

// namesake puts a Node into the cluster that has the name of an instance's Node and belongs to another instance, as
// private addresses repeat from network to network.
func (w *world) namesake(id string) {
	w.Helper()
	out, err := w.ec2.DescribeInstances(context.Background(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		w.Fatal(err)
	}
	_, err = w.kube.CoreV1().Nodes().Create(context.Background(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: aws.ToString(out.Reservations[0].Instances[0].PrivateDnsName)},
		Spec:       corev1.NodeSpec{ProviderID: "aws:///eu-central-1a/i-00000000000000001"},
	}, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
}
