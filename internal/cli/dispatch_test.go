package cli_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
)

// receives runs step event in a workflow of its own, as its retries do.
func (a *argoWorld) receives(workflow, body string, flags ...string) (o outcome) {
	a.Helper()
	args := append([]string{
		"--workflow-name", "eks-recycle/" + workflow, "--account", "000000000000", "--region", "eu-central-1", "--lifecycle-hook", hookName,
		"--body", base64.StdEncoding.EncodeToString([]byte(body)),
	}, flags...)
	for range 10 {
		if o = a.stepAs(a.Context(), workflow, "event", args...); o.code != 75 {
			break
		}
		time.Sleep(5 * time.Second)
	}
	return o
}

// works is a workflow that takes a while.
func (w *world) works(map[string]string) string {
	select {
	case <-time.After(time.Minute):
	case <-w.over:
	}
	return ""
}

// startedBy are the workflows of a template.
func (a *argoWorld) startedBy(template string) (all []map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, child := range a.all {
		if child["template"] == template {
			all = append(all, child)
		}
	}
	return all
}

func eventBody(kind, source string, at time.Time, detail string) string {
	return fmt.Sprintf(`{"version": "0", "id": "12345678-1234-1234-1234-123456789012", "detail-type": %q, "source": %q, "account": "000000000000",
		"time": %q, "region": "eu-central-1", "resources": [], "detail": %s}`, kind, source, at.UTC().Format(time.RFC3339), detail)
}

func terminationBody(id, group, hook, token string, at time.Time) string {
	return eventBody("EC2 Instance-terminate Lifecycle Action", "aws.autoscaling", at, fmt.Sprintf(
		`{"LifecycleActionToken": %q, "AutoScalingGroupName": %q, "LifecycleHookName": %q, "EC2InstanceId": %q, "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}`,
		token, group, hook, id))
}

func spotBody(kind, id string, at time.Time) string {
	return eventBody(kind, "aws.ec2", at, fmt.Sprintf(`{"instance-id": %q, "instance-action": "terminate"}`, id))
}

const (
	spotNotice         = "EC2 Spot Instance Interruption Warning"
	rebalanceRecommend = "EC2 Instance Rebalance Recommendation"
)

// A termination starts one drain, however often its event comes; the next termination of the same instance another one.
func TestEventOfATermination(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		id := w.ids[0]
		began := time.Now()
		w.terminating(id, time.Hour)
		for range 3 {
			if o := a.receives("event-1", terminationBody(id, group, hookName, "t-1", time.Now())); o.code != 0 {
				w.Fatalf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
			}
		}
		all := a.startedBy("drain-terminating")
		if len(all) != 1 || all[0]["instance-id"] != id || all[0]["asg-name"] != group || all[0]["lifecycle-hook"] != hookName {
			w.Fatalf("started %v", all)
		}
		if o := a.receives("event-2", terminationBody(id, group, hookName, "t-2", time.Now())); o.code != 0 || len(a.startedBy("drain-terminating")) != 2 {
			w.Errorf("another action: exit %d %q", o.code, o.result.Message)
		}
		// Since when it waits is what the group's activities say.
		for token, at := range map[string]time.Time{"long ago": began.Add(-47 * time.Hour), "to come": time.Now().Add(4 * time.Minute)} {
			if o := a.receives("event-3", terminationBody(id, group, hookName, token, at)); o.code != 0 {
				w.Errorf("exit %d %q", o.code, o.result.Message)
			}
		}
		for _, child := range a.startedBy("drain-terminating") {
			since, err := time.Parse(time.RFC3339, child["lifecycle-began"])
			if err != nil || since.Sub(began).Abs() > 2*time.Second {
				w.Errorf("%s waits since %s, want %s", child["name"], child["lifecycle-began"], began)
			}
		}
	})
}

// What AWS does not confirm starts nothing, is no failure, and costs no more than a look.
func TestEventsThatAreNotTrue(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		waits, serves := w.ids[0], w.ids[1]
		gone := w.ids[2]
		if err := w.sim.ActOutside(gone, "terminate"); err != nil {
			w.Fatal(err)
		}
		time.Sleep(3 * time.Hour) // EC2 shows it no more
		w.foreignGroup("others")
		w.terminating(waits, time.Hour)
		foreign := w.membersOf("others")[0]
		now, old := time.Now(), time.Now().Add(-time.Hour)
		for name, c := range map[string]struct{ body, says string }{
			"another instance than the one that waits": {terminationBody(serves, group, hookName, "t", old), "is InService: it waits for no lifecycle hook"},
			"just now":                                   {terminationBody(serves, group, hookName, "t", now), "is InService: it waits for no lifecycle hook"},
			"another group":                              {terminationBody(waits, "others", hookName, "t", old), "is in Auto Scaling group workers, not in others"},
			"a group that does not exist":                {terminationBody(waits, "none", hookName, "t", old), "is in Auto Scaling group workers, not in none"},
			"an instance that does not exist":            {terminationBody("i-0123456789abcdef0", group, hookName, "t", old), "is unknown to EC2 and to Auto Scaling group workers"},
			"one that is gone":                           {terminationBody(gone, group, hookName, "t", old), "unknown to EC2"},
			"the year 9999":                              {strings.Replace(terminationBody(waits, group, hookName, "t", old), old.UTC().Format(time.RFC3339), "9999-12-31T23:59:59Z", 1), "still to come"},
			"a notice of the year 9999":                  {strings.Replace(spotBody(spotNotice, serves, old), old.UTC().Format(time.RFC3339), "9999-12-31T23:59:59Z", 1), "still to come"},
			"a notice for an on-demand instance":         {spotBody(spotNotice, serves, now), "is no Spot Instance"},
			"a notice of an hour ago":                    {spotBody(spotNotice, serves, old), "came 1h"},
			"a notice for one that is gone":              {spotBody(spotNotice, gone, now), "is unknown to EC2"},
			"a recommendation for an on-demand instance": {spotBody(rebalanceRecommend, serves, now), "is no Spot Instance"},
			"an instance of another cluster":             {spotBody(rebalanceRecommend, foreign, now), "has no Node in this cluster"},
			"a request for one of another cluster":       {fmt.Sprintf(`{"request": {"instance-id": %q}, "idempotencyKey": ""}`, foreign), "has no Node in this cluster"},
			"a request for a Node that does not exist":   {`{"request": {"node": "n"}, "idempotencyKey": ""}`, "node n does not exist in this cluster"},
			"another account":                            {strings.Replace(spotBody(spotNotice, serves, now), "000000000000", "111122223333", 1), `expected "000000000000", the configured one`},
			"another hook":                               {terminationBody(waits, group, "backup", "t", old), `expected "recycle", the configured one`},
		} {
			flags := []string{}
			if strings.Contains(c.body, `"request"`) {
				flags = []string{"--source", "webhook"}
			}
			began := time.Now()
			o := a.receives("event-"+name, c.body, flags...)
			if o.code != 0 || !strings.HasPrefix(o.result.Message, "nothing is started: ") || !strings.Contains(o.result.Message, c.says) {
				w.Errorf("%s: exit %d %q, want %q\n%s", name, o.code, o.result.Message, c.says, o.stderr)
			}
			if took := time.Since(began); took > 4*time.Minute {
				w.Errorf("%s: it took %s", name, took)
			}
		}
		if len(a.all) != 0 {
			w.Errorf("started %v", a.all)
		}
		if calls := w.changed(); len(calls) != 0 {
			w.Errorf("calls that change something: %v", calls)
		}
	})
}

// changed are the calls to AWS that steps made and that change something, besides those of the test itself.
func (w *world) changed() []string {
	return slices.DeleteFunc(w.actions(), func(action string) bool {
		return slices.ContainsFunc([]string{"PutLifecycleHook", "TerminateInstanceInAutoScalingGroup", "CreateAutoScalingGroup"}, func(own string) bool { return strings.HasPrefix(action, own) })
	})
}

// foreignGroup makes a group whose instances join no cluster that is known here.
func (w *world) foreignGroup(name string) {
	w.Helper()
	if err := w.sim.Configure(func(c *awssim.Config) { c.NodeNeverJoins = true }); err != nil {
		w.Fatal(err)
	}
	if _, err := w.groups.CreateAutoScalingGroup(w.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(1), MaxSize: aws.Int32(2), DesiredCapacity: aws.Int32(1), AvailabilityZones: []string{w.region + "a"},
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
	}); err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
	if err := w.sim.Configure(func(c *awssim.Config) { c.NodeNeverJoins = false }); err != nil {
		w.Fatal(err)
	}
}

// AWS may know of it a moment later, and the Node may register minutes later: an event is not taken for untrue at first sight.
func TestEventsThatBecomeTrue(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		id := w.ids[0]
		at := time.Now()
		var early sync.WaitGroup
		early.Go(func() { // it comes before its group says so
			if o := a.receives("event-1", terminationBody(id, group, hookName, "t-1", at)); o.code != 0 || len(o.result.Changes) != 1 {
				w.Errorf("too early: exit %d %q", o.code, o.result.Message)
			}
		})
		time.Sleep(time.Minute)
		w.terminating(id, time.Hour)
		early.Wait()

		other := w.ids[1]
		if err := w.kube.CoreV1().Nodes().Delete(w.Context(), w.nodeOf(other).Name, metav1.DeleteOptions{}); err != nil {
			w.Fatal(err)
		}
		w.terminating(other, time.Hour)
		if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "DescribeInstances", Kind: awssim.FaultErrorBefore, Code: "InvalidInstanceID.NotFound", Count: 1}); err != nil {
			w.Fatal(err)
		}
		if o := a.receives("event-2", terminationBody(other, group, hookName, "t-2", time.Now())); o.code != 0 || len(o.result.Changes) != 1 {
			w.Errorf("no Node yet, and unknown to EC2 for a moment: exit %d %q", o.code, o.result.Message)
		}
		if all := a.startedBy("drain-terminating"); len(all) != 2 {
			w.Errorf("started %v", all)
		}
	})
}

func spotInstances(c *awssim.Config) { c.Spot = true }

func TestEventOfASpotInterruption(t *testing.T) {
	inWorld(t, spotInstances, func(w *world) {
		a := newArgoWorld(w, w.works)
		at := time.Now()
		if o := a.receives("event-1", spotBody(spotNotice, w.ids[0], at)); o.code != 0 || o.stderr != "" {
			w.Fatalf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		all := a.startedBy("drain-interrupted")
		if len(all) != 1 || all[0]["instance-id"] != w.ids[0] || all[0]["noticed-at"] != at.UTC().Format(time.RFC3339) {
			w.Errorf("started %v", all)
		}
		time.Sleep(24 * time.Hour) // it was stopped, and is interrupted again
		if o := a.receives("event-2", spotBody(spotNotice, w.ids[0], time.Now())); o.code != 0 || len(a.startedBy("drain-interrupted")) != 2 {
			w.Errorf("the next one: exit %d %q", o.code, o.result.Message)
		}
	})
}

// A request by Node waits in the queue of the Node's group; a dry run waits for nobody.
func TestEventOfARequest(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		name := w.nodeOf(w.ids[0]).Name
		request := func(workflow, parameters string, flags ...string) outcome {
			return a.receives(workflow, `{"request": {"node": "`+name+`"`+parameters+`}, "idempotencyKey": ""}`, append(flags, "--source", "webhook")...)
		}
		if o := request("event-1", ""); o.code != 0 {
			w.Fatalf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		if o := request("event-2", `, "dry-run": "true"`); o.code != 0 {
			w.Errorf("dry run: exit %d %q", o.code, o.result.Message)
		}
		if o := request("event-3", `, "max-wait": "20h"`); o.code != 0 || !strings.Contains(o.result.Message, "is no parameter that a request may set") {
			w.Errorf("not allowed: exit %d %q", o.code, o.result.Message)
		}
		if o := request("event-4", `, "max-wait": "20h"`, "--webhook-parameters", "max-wait"); o.code != 0 {
			w.Errorf("allowed: exit %d %q", o.code, o.result.Message)
		}
		queued, dry := a.startedBy("recycle-queued"), a.startedBy("recycle-node")
		if len(queued) != 2 || queued[0]["node"] != name || queued[0]["asg-name"] != group || queued[0]["queue"] == "" || queued[0]["queue"] != queued[1]["queue"] || queued[1]["max-wait"] != "20h" {
			w.Errorf("queued %v", queued)
		}
		if len(dry) != 1 || dry[0]["dry-run"] != "true" || dry[0]["queue"] != "" {
			w.Errorf("dry runs %v", dry)
		}
		if o := a.receives("event-5", "x", "--webhook-parameters", "fleet"); o.code != 2 || !strings.Contains(o.stderr, `"fleet" is none of`) {
			w.Errorf("a parameter that nobody may allow: exit %d\n%s", o.code, o.stderr)
		}
	})
}

// queue runs what events start as Argo does: those of one queue one after the other, in the order in which they came.
type queue struct {
	*argoWorld
	mu    sync.Mutex
	locks map[string]chan struct{}
	most  int // pods that waited at once
	pods  int
}

func (q *queue) run(child map[string]string) string {
	if child["template"] == "recycle-node" {
		return q.recycleChild(child)
	}
	q.mu.Lock()
	lock := q.locks[child["queue"]]
	if lock == nil {
		lock = make(chan struct{}, 1) // a mutex would stop virtual time
		q.locks[child["queue"]] = lock
	}
	q.mu.Unlock()
	select {
	case lock <- struct{}{}:
	case <-q.over:
		return ""
	}
	defer func() { <-lock }()
	q.mu.Lock()
	q.pods++
	q.most = max(q.most, q.pods)
	q.mu.Unlock()
	defer func() { q.mu.Lock(); q.pods--; q.mu.Unlock() }()
	flags := []string{"--workflow-name", "eks-recycle/" + child["name"]}
	for _, name := range []string{"instance-id", "asg-name", "reason", "reason-time", "cool-down", "scheduled-event", "action"} {
		if child[name] != "" {
			flags = append(flags, "--"+name+"="+child[name])
		}
	}
	code, message := q.tried(child["uid"], "admit", flags...)
	if code != 0 {
		return message
	}
	return ""
}

// A crowd of recommendations recycles one node of the group at a time, beside those that people recycle; what waits has no pod, and
// is asked for again when its turn comes.
func TestAFloodOfRecommendations(t *testing.T) {
	inWorld(t, spotInstances, func(w *world) {
		w.resized("MaxSize", 30)
		w.resized("DesiredCapacity", 20)
		a := newArgoWorld(w, nil)
		q := &queue{argoWorld: a, locks: map[string]chan struct{}{}}
		a.run = q.run
		ids := slices.Clone(w.ids)
		for i, id := range ids {
			w.pod(id, fmt.Sprintf("batch-%d", i), 20*time.Minute, nil)
		}
		// Somebody recycles one by hand: it uses up the budget.
		byHand := []string{"--instance-id", ids[0], "--action", "terminate"}
		w.pod(ids[0], "long", time.Hour, nil)
		w.done("standby", byHand...)
		w.done("taint", byHand...)
		var drained sync.WaitGroup
		drained.Go(func() { w.done("drain", byHand...) })
		at := time.Now()
		for i := range 200 {
			if o := a.receives(fmt.Sprintf("event-%d", i), spotBody(rebalanceRecommend, ids[i%20], at.Add(time.Duration(i)*time.Second/2))); o.code != 0 {
				w.Fatalf("event %d: exit %d %q\n%s", i, o.code, o.result.Message, o.stderr)
			}
		}
		time.Sleep(10 * time.Minute)
		if len(a.order) != 0 || q.most != 1 {
			w.Errorf("while somebody else recycles one: started %v, %d pods wait", a.order, q.most)
		}
		drained.Wait()
		w.done("evict", byHand...)
		w.done("retire", byHand...)
		for hour := range 12 {
			time.Sleep(time.Hour)
			w.Logf("after %2d h: %d recycles started, %d in progress, at most %d at once", hour+1, len(a.order), len(a.inProgress), a.peak)
		}
		if a.peak != 1 || q.most != 1 || q.pods != 0 {
			w.Errorf("at most %d recycles and %d waiting pods at once, want 1; %d still wait", a.peak, q.most, q.pods)
		}
		slices.Sort(a.order)
		if want := slices.Sorted(slices.Values(ids[1:])); !slices.Equal(a.order, want) {
			w.Errorf("recycled %d: %v, want each of the others once: %v", len(a.order), a.order, want)
		}
		if in := w.members("InService"); len(in) != 20 || slices.ContainsFunc(in, func(id string) bool { return slices.Contains(ids, id) }) {
			w.Errorf("in service: %v", in)
		}
	})
}

// A sweep finds the instances that wait for the hook and for which no workflow was created, and starts it once.
func TestASweepFindsLostEvents(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		known, lost := w.ids[0], w.ids[1]
		w.terminating(known, time.Hour)
		w.terminating(lost, time.Hour)
		if o := a.receives("event-1", terminationBody(known, group, hookName, "t-1", time.Now())); o.code != 0 {
			w.Fatalf("exit %d\n%s", o.code, o.stderr)
		}
		sweep := func(flags ...string) outcome {
			o := a.stepAs(a.Context(), "sweep", "sweep", append([]string{"--workflow-name", "eks-recycle/sweep"}, flags...)...)
			if o.code != 0 {
				w.Fatalf("exit %d\n%s", o.code, o.stderr)
			}
			return o
		}
		if o := sweep("--lifecycle-hook", hookName); len(a.startedBy("drain-terminating")) != 1 {
			w.Errorf("its event may still come: %q", o.result.Message)
		}
		time.Sleep(6 * time.Minute)
		if o := sweep(); len(a.startedBy("drain-terminating")) != 1 {
			w.Errorf("no hook is named: %q", o.result.Message)
		}
		if o := sweep("--lifecycle-hook", "another"); len(a.startedBy("drain-terminating")) != 1 {
			w.Errorf("the group has no such hook: %q", o.result.Message)
		}
		if o := sweep("--lifecycle-hook", hookName, "--dry-run"); len(a.startedBy("drain-terminating")) != 1 || len(o.result.Changes) != 1 {
			w.Errorf("dry run: %q, changes %v", o.result.Message, o.result.Changes)
		}
		for range 3 {
			if o := sweep("--lifecycle-hook", hookName); len(a.startedBy("drain-terminating")) != 2 {
				w.Errorf("the lost one: %q", o.result.Message)
			}
			time.Sleep(time.Hour / 2)
		}
		if last := a.startedBy("drain-terminating")[1]; last["instance-id"] != lost || last["asg-name"] != group || last["lifecycle-hook"] != hookName || last["lifecycle-began"] == "" {
			w.Errorf("started %v", last)
		}
	})
}

func healthBody(start time.Time, ids ...string) string {
	entities := make([]string, 0, len(ids))
	for _, id := range ids {
		entities = append(entities, fmt.Sprintf(`{"entityValue": %q}`, id))
	}
	return eventBody("AWS Health Event", "aws.health", time.Now(), fmt.Sprintf(`{"eventArn": "arn:aws:health:eu-central-1::event/EC2/x", "service": "EC2",
		"eventTypeCode": "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED", "eventTypeCategory": "scheduledChange", "statusCode": "upcoming", "startTime": %q, "affectedEntities": [%s]}`,
		start.UTC().Format(time.RFC1123), strings.Join(entities, ", ")))
}

// A scheduled change recycles each instance that it names and that EC2 has an event for, one at a time and before it happens. An event
// that is cancelled while a recycle waits for its turn recycles nothing.
func TestEventOfAScheduledChange(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		q := &queue{argoWorld: a, locks: map[string]chan struct{}{}}
		a.run = q.run
		start := time.Now().Add(14 * 24 * time.Hour)
		ids := slices.Clone(w.ids)
		retirement := awssim.ScheduledEvent{Code: "instance-retirement", Description: "The instance is running on degraded hardware", NotBefore: start}
		for _, id := range ids[:2] {
			if err := w.sim.ScheduleEvent(id, retirement); err != nil {
				w.Fatal(err)
			}
		}
		w.pod(ids[0], "batch", 20*time.Hour, nil)
		if o := a.receives("event-0", healthBody(start, ids[0])); o.code != 0 {
			w.Fatalf("exit %d\n%s", o.code, o.stderr)
		}
		time.Sleep(time.Minute) // it is the first in the queue
		o := a.receives("event-1", healthBody(start, ids...))
		if o.code != 0 || !strings.Contains(o.result.Message, "EC2 has no scheduled event for instance "+ids[2]) {
			w.Fatalf("exit %d %q\n%s", o.code, o.result.Message, o.stderr)
		}
		if o := a.receives("event-2", healthBody(start, ids...)); o.code != 0 || len(a.startedBy("recycle-queued")) != 2 {
			w.Errorf("the same again: exit %d %q, queued %v", o.code, o.result.Message, a.startedBy("recycle-queued"))
		}
		time.Sleep(time.Hour)
		retirement.Description = "[Canceled] " + retirement.Description
		if err := w.sim.ScheduleEvent(ids[1], retirement); err != nil {
			w.Fatal(err)
		}
		time.Sleep(30 * time.Hour)
		if in := w.members("InService"); !slices.Equal(a.order, ids[:1]) || slices.Contains(in, ids[0]) || !slices.Contains(in, ids[1]) || q.pods != 0 {
			w.Errorf("recycled %v, want %v; %d still wait", a.order, ids[:1], q.pods)
		}
	})
}

// The shipped policy of the dispatcher allows what it asks of AWS, and nothing else.
func TestWhatTheDispatcherAsksOfAWS(t *testing.T) {
	inWorld(t, spotInstances, func(w *world) {
		template, err := os.ReadFile("../../workflows/components/events/aws/events.yaml")
		if err != nil {
			w.Fatal(err)
		}
		stack, err := w.sim.LoadTemplate("events", template, nil)
		if err != nil {
			w.Fatal(err)
		}
		policy, err := iampolicy.Parse([]byte(stack.Policies["DispatcherPolicy"]))
		if err != nil {
			w.Fatal(err)
		}
		a := newArgoWorld(w, w.works)
		w.terminating(w.ids[0], time.Hour)
		w.sim.ForgetCalls()
		for i, body := range []string{
			terminationBody(w.ids[0], group, hookName, "t", time.Now()), spotBody(spotNotice, w.ids[1], time.Now()),
			spotBody(rebalanceRecommend, w.ids[1], time.Now()), healthBody(time.Now().Add(time.Hour), w.ids[1]),
		} {
			if o := a.receives(fmt.Sprintf("event-%d", i), body); o.code != 0 {
				w.Fatalf("exit %d\n%s", o.code, o.stderr)
			}
		}
		var asked []string
		for _, call := range w.sim.Calls(0) {
			if action := call.Service + ":" + call.Action; !slices.Contains(asked, action) {
				asked = append(asked, action)
			}
		}
		slices.Sort(asked)
		if diff := cmp.Diff(asked, slices.Sorted(slices.Values([]string(policy.Statement[0].Action)))); diff != "" || len(policy.Statement) != 1 {
			w.Errorf("asked and allowed (-asked +allowed):\n%s", diff)
		}
	})
}

// A kubelet can say of its Node that it is any instance. That does not recycle that instance.
func TestANodeThatSaysThatItIsAnotherInstance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		name := "forged"
		w.forgedNode(name, w.ids[1])
		if o := a.receives("event-1", `{"request": {"node": "`+name+`"}, "idempotencyKey": ""}`, "--source", "webhook"); len(a.all) != 0 {
			w.Errorf("a request by its name: exit %d %q starts %v", o.code, o.result.Message, a.all)
		}
		if o := a.stepAs(a.Context(), "queued-1", "admit", "--workflow-name", "eks-recycle/queued-1", "--node", name); len(a.all) != 0 {
			w.Errorf("queued by its name: exit %d %q starts %v", o.code, o.result.Message, a.all)
		}
	})
}

// Nor does it make another cluster's group this cluster's, whose instances would be drained here in vain, and then given up.
func TestANodeThatSaysThatItIsAnotherClustersInstance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, w.works)
		w.foreignGroup("others")
		foreign := w.membersOf("others")[0]
		name := "others"
		if _, err := w.groups.PutLifecycleHook(w.Context(), &autoscaling.PutLifecycleHookInput{
			AutoScalingGroupName: &name, LifecycleHookName: aws.String(hookName), LifecycleTransition: aws.String("autoscaling:EC2_INSTANCE_TERMINATING"), HeartbeatTimeout: aws.Int32(7200),
		}); err != nil {
			w.Fatal(err)
		}
		w.forgedNode("forged", foreign)
		if err := w.sim.Configure(func(c *awssim.Config) { c.NodeNeverJoins = true }); err != nil { // nor does what replaces it
			w.Fatal(err)
		}
		if _, err := w.groups.TerminateInstanceInAutoScalingGroup(w.Context(), &autoscaling.TerminateInstanceInAutoScalingGroupInput{InstanceId: &foreign, ShouldDecrementDesiredCapacity: aws.Bool(false)}); err != nil {
			w.Fatal(err)
		}
		began := time.Now()
		time.Sleep(10 * time.Minute)
		if o := a.receives("event-1", terminationBody(foreign, name, hookName, "t", time.Now())); len(a.all) != 0 {
			w.Errorf("its termination: exit %d %q starts %v", o.code, o.result.Message, a.all)
		}
		if o := a.stepAs(a.Context(), "sweep", "sweep", "--workflow-name", "eks-recycle/sweep", "--lifecycle-hook", hookName); len(a.all) != 0 {
			w.Errorf("a sweep: exit %d %q starts %v", o.code, o.result.Message, a.all)
		}
		flags := []string{"--instance-id", foreign, "--asg-name", name, "--lifecycle-hook", hookName, "--lifecycle-began", began.UTC().Format(time.RFC3339)}
		if o := w.tried("taint", flags...); o.code != 1 {
			w.Errorf("taint, submitted by hand: exit %d %q", o.code, o.result.Message)
		}
	})
}
