package cli_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const day = 24 * time.Hour

// retired adds a stopped instance as a recycle leaves it, retired a minute after its launch; the tag value "-" stands for none.
func (w *world) retired(tags map[string]string) (id string) {
	w.Helper()
	all := map[string]string{
		asg.TagRetiredAt: time.Now().Add(time.Minute).UTC().Format(time.RFC3339), asg.TagAction: "stop", asg.TagNode: "gone", asg.TagGroup: group,
		"kubernetes.io/cluster/sandbox": "owned", asg.TagLaunchTemplate: w.tag(w.ids[0], asg.TagLaunchTemplate),
	}
	maps.Copy(all, tags)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "-" })
	id, err := w.sim.AddInstance(awssim.InstanceSpec{Tags: all})
	if err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Minute)
	w.outside(id, "stop")
	return id
}

// outside stops or starts an instance by another hand.
func (w *world) outside(id, action string) {
	w.Helper()
	if err := w.sim.ActOutside(id, action); err != nil {
		w.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// states tells of each instance what EC2 says.
func (w *world) states() map[string]string {
	all := map[string]string{}
	for _, i := range w.sim.State().Instances {
		all[i.ID] = i.State
	}
	return all
}

func TestReapTerminatesWhatARecycleStoppedAndNothingElse(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.recycle(w.ids[0])
		node, retiredAt := w.tag(w.ids[0], asg.TagNode), w.tag(w.ids[0], asg.TagRetiredAt)
		if err := w.sim.AttachVolumes(w.ids[0], awssim.VolumeSpec{Size: 7, DeleteOnTermination: true}, awssim.VolumeSpec{Size: 500}); err != nil {
			w.Fatal(err)
		}
		w.retired(map[string]string{asg.TagRetiredAt: "-", asg.TagAction: "-"})
		w.retired(map[string]string{asg.TagAction: "terminate"})
		w.retired(map[string]string{asg.TagAction: "-"})
		w.retired(map[string]string{asg.TagKeep: "for alice"})
		w.retired(map[string]string{asg.TagRetiredAt: "last week"})
		w.retired(map[string]string{"aws:autoscaling:groupName": "another"})
		w.retired(map[string]string{asg.TagRetiredAt: time.Now().Add(2 * day).Format(time.RFC3339)})
		w.retired(map[string]string{"kubernetes.io/cluster/sandbox": "-", "kubernetes.io/cluster/other": "owned"})
		// Whoever may tag instances can make any stopped one look retired, but for the tags that AWS sets.
		w.retired(map[string]string{asg.TagLaunchTemplate: "lt-0123456789abcdef0"})
		w.retired(map[string]string{asg.TagLaunchTemplate: "-"})
		time.Sleep(2 * time.Hour)
		w.outside(w.retired(map[string]string{asg.TagRetiredAt: time.Now().Format(time.RFC3339)}), "start")
		again := w.retired(nil)
		time.Sleep(2 * time.Hour)
		w.outside(again, "start")
		w.outside(again, "stop")
		time.Sleep(8 * day)

		w.sim.ForgetCalls()
		before := w.states()
		dry := w.reap("--cluster", "sandbox", "--dry-run")
		if diff := cmp.Diff(before, w.states()); dry.code != 0 || diff != "" || len(w.actions()) > 0 {
			w.Fatalf("a dry run: exit %d, calls %v\n%s%s", dry.code, w.actions(), diff, dry.stderr)
		}
		if len(dry.result.Reaped) != 1 || dry.result.Reaped[0].InstanceID != w.ids[0] || dry.result.Reaped[0].Outcome != "would be terminated" {
			w.Errorf("a dry run lists %+v", dry.result.Reaped)
		}

		o := w.reap("--cluster", "sandbox")
		if o.code != 0 || len(o.result.Reaped) != 1 {
			w.Fatalf("exit %d, %+v\n%s", o.code, o.result.Reaped, o.stderr)
		}
		x := o.result.Reaped[0]
		if x.InstanceID != w.ids[0] || x.NodeName != node || x.ASGName != group || x.RetiredAt.Format(time.RFC3339) != retiredAt ||
			x.Volumes != 2 || x.GiB != 57 || x.Outcome != "terminated" {
			w.Errorf("reaped: %+v", x)
		}
		if want := "1 instance(s) terminated, 2 volume(s) of 57 GiB freed, 1 volume(s) of 500 GiB stay"; o.result.Message != want {
			w.Errorf("it says %q, want %q", o.result.Message, want)
		}
		if len(o.result.Warnings) != 1 || !strings.Contains(o.result.Warnings[0], `is malformed: "last week"`) {
			w.Errorf("warnings: %v", o.result.Warnings)
		}
		for _, why := range []string{
			"keeps it", "is a member of an Auto Scaling group", "was started again", "less than 168h0m0s ago", `action is not \"stop\"`, "is malformed",
			"was launched from no launch template of the cluster's Auto Scaling groups",
		} {
			if !strings.Contains(o.stderr, why) {
				w.Errorf("the log does not say %q:\n%s", why, o.stderr)
			}
		}
		time.Sleep(time.Minute)
		before[w.ids[0]] = "terminated"
		if diff := cmp.Diff(before, w.states()); diff != "" {
			w.Errorf("instances (-want +got):\n%s", diff)
		}

		w.sim.ForgetCalls()
		if second := w.reap("--cluster", "sandbox"); second.code != 0 || len(second.result.Reaped) > 0 || len(w.actions()) > 0 {
			w.Errorf("the second run: exit %d, %+v, calls %v", second.code, second.result.Reaped, w.actions())
		}
		w.whole(w.ids[1:]...)
	})
}

func TestReapGoesOnOverWhatItMayNotTerminate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		first, protected, last := w.retired(nil), w.retired(nil), w.retired(map[string]string{asg.TagKeep: "false"})
		if err := w.sim.ProtectInstance(protected, true); err != nil {
			w.Fatal(err)
		}
		time.Sleep(8 * day)
		o := w.reap()
		if o.code != 1 || !strings.Contains(o.result.Message, "OperationNotPermitted") || !strings.Contains(o.result.Hint, "--no-disable-api-termination") {
			w.Errorf("exit %d, %q, hint %q", o.code, o.result.Message, o.result.Hint)
		}
		outcomes := map[string]string{}
		for _, x := range o.result.Reaped {
			outcomes[x.InstanceID] = x.Outcome
		}
		if len(outcomes) != 3 || outcomes[first] != "terminated" || outcomes[last] != "terminated" || !strings.Contains(outcomes[protected], "may not be terminated") {
			w.Errorf("outcomes %v", outcomes)
		}
		time.Sleep(time.Minute)
		if got := []string{w.instanceState(first), w.instanceState(protected), w.instanceState(last)}; !slices.Equal(got, []string{"terminated", "stopped", "terminated"}) {
			w.Errorf("states %v", got)
		}
		if err := w.sim.ProtectInstance(protected, false); err != nil {
			w.Fatal(err)
		}
		if o := w.reap(); o.code != 0 || len(o.result.Reaped) != 1 || o.result.Reaped[0].InstanceID != protected {
			w.Errorf("exit %d, %+v\n%s", o.code, o.result.Reaped, o.stderr)
		}
	})
}

func TestReapTakesTheLongestRetiredFirst(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		at := func(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339) }
		second, third := w.retired(map[string]string{asg.TagRetiredAt: at(2 * time.Hour)}), w.retired(map[string]string{asg.TagRetiredAt: at(3 * time.Hour)})
		first := w.retired(map[string]string{asg.TagRetiredAt: at(time.Hour)})
		protected := w.retired(map[string]string{asg.TagRetiredAt: at(time.Minute * 30)})
		if err := w.sim.ProtectInstance(protected, true); err != nil { // it does not use the limit up
			w.Fatal(err)
		}
		time.Sleep(2 * day)
		if o := w.reap("--older-than", "24h", "--limit", "2"); o.code != 1 || o.result.Reaped[1].InstanceID != first || o.result.Reaped[2].InstanceID != second {
			w.Errorf("exit %d, %+v", o.code, o.result.Reaped)
		}
		if o := w.reap("--older-than", "1d", "--limit", "1", "--dry-run"); !strings.HasSuffix(o.result.Message, "; 1 more due, beyond the limit of 1") {
			w.Errorf("message %q", o.result.Message)
		}
		if state := w.instanceState(third); state != "stopped" {
			w.Errorf("the third is %s", state)
		}
	})
}

func TestReapThroughFaults(t *testing.T) {
	for name, fault := range map[string]awssim.Fault{
		"the list is throttled":                     {Action: "DescribeInstances", Kind: "error-before", Code: "RequestLimitExceeded", Count: 9},
		"the volumes are throttled":                 {Action: "DescribeVolumes", Kind: "error-before", Code: "RequestLimitExceeded", Count: 9},
		"a termination is refused a while":          {Action: "TerminateInstances", Kind: "error-before", Code: "InternalError", Status: 500, Count: 9},
		"a termination is done and called an error": {Action: "TerminateInstances", Kind: "error-after", Code: "InternalError", Status: 500, Count: 9},
		"the permission for volumes is missing":     {Action: "DescribeVolumes", Kind: "error-before", Code: "UnauthorizedOperation", Status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := []string{w.retired(nil), w.retired(nil)}
				time.Sleep(8 * day)
				if err := w.sim.AddFaults(fault); err != nil {
					w.Fatal(err)
				}
				o := w.reap()
				var reaped []string
				for _, x := range o.result.Reaped {
					reaped = append(reaped, x.InstanceID)
				}
				if o.code != 0 || len(reaped) != 2 || !strings.HasPrefix(o.result.Message, "2 instance(s) terminated") {
					w.Errorf("exit %d, %v, %q\n%s", o.code, reaped, o.result.Message, o.stderr)
				}
				if denied := fault.Code == "UnauthorizedOperation"; denied != (len(o.result.Warnings) == 1) {
					w.Errorf("warnings: %v", o.result.Warnings)
				}
				for _, id := range ids {
					if state := w.instanceState(id); state != "shutting-down" && state != "terminated" {
						w.Errorf("instance %s is %s", id, state)
					}
				}
			})
		})
	}
}

// What people do between the list and the turn of an instance counts.
func TestReapLooksAgainBeforeItTerminates(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := []string{w.retired(nil), w.retired(nil), w.retired(nil)}
		time.Sleep(8 * day)
		if err := w.sim.AddFaults(awssim.Fault{Action: "TerminateInstances", Kind: "delay", Delay: "5m"}); err != nil {
			w.Fatal(err)
		}
		go func() {
			time.Sleep(time.Minute)
			w.outside(ids[1], "start")
			_, err := w.ec2.CreateTags(w.Context(), &ec2.CreateTagsInput{Resources: ids[2:], Tags: []ec2types.Tag{{Key: ptr(asg.TagKeep), Value: ptr("")}}})
			if err != nil {
				w.Error(err)
			}
		}()
		o := w.reap()
		if o.code != 0 || len(o.result.Reaped) != 1 || o.result.Reaped[0].InstanceID != ids[0] {
			w.Errorf("exit %d, %+v\n%s", o.code, o.result.Reaped, o.stderr)
		}
		if running, kept := w.instanceState(ids[1]), w.instanceState(ids[2]); running != "running" || kept != "stopped" {
			w.Errorf("the one started is %s, the one kept is %s", running, kept)
		}
	})
}

func TestReapRefusesWhatItCannotMean(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for flag, says := range map[string]string{
			"--older-than=59m": "--older-than must be at least 1h0m0s",
			"--older-than=a7d": `--older-than "a7d" must be a positive duration`,
			"--limit=-1":       "--limit must not be negative",
			"--node=n":         "--help lists the flags",
		} {
			if o := w.step("reap", flag); o.code != 2 || !strings.Contains(o.stderr, says) {
				w.Errorf("%s: exit %d\n%s", flag, o.code, o.stderr)
			}
		}
	})
}

func (w *world) reap(flags ...string) outcome {
	w.Helper()
	return w.stepAs(w.Context(), "reap-1", "reap", flags...)
}

func (w *world) tag(id, key string) string {
	for _, i := range w.sim.State().Instances {
		if i.ID == id {
			return i.Tags[key]
		}
	}
	return ""
}
