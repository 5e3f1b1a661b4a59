package asg

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

const id = "i-0123456789abcdef0"

func TestCheckInstanceID(t *testing.T) {
	for given, ok := range map[string]bool{
		id: true, "i-0a1b2c3d": true, "": false, "i-": false, "i-42": false, "i-0123456789ABCDEF0": false, "i-0123456789abcdef01": false,
		" " + id: false, id + "\n": false, "ip-10-0-1-2.ec2.internal": false, "mi-0123456789abcdef0": false, "{{steps.standby}}": false,
	} {
		err := CheckInstanceID(given)
		if (err == nil) != ok || (err != nil && hint.Of(err) == "") {
			t.Errorf("%q: error %v, hint %q", given, err, hint.Of(err))
		}
	}
}

func FuzzCheckInstanceID(f *testing.F) {
	for _, seed := range []string{id, "i-0a1b2c3d", "i-42", "", "i-0123456789abcdef0\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		if CheckInstanceID(given) != nil {
			return
		}
		digits, ok := strings.CutPrefix(given, "i-")
		if !ok || (len(digits) != 8 && len(digits) != 17) || strings.Trim(digits, "0123456789abcdef") != "" {
			t.Errorf("%q was taken for an instance id", given)
		}
	})
}

func target(lifecycle string, change ...func(*Target)) Target {
	t := Target{
		Instance: Instance{ID: id, State: "running", Tags: map[string]string{}},
		Group:    &Group{Name: "g", Min: 1, Desired: 1, Max: 3, Members: []Member{{ID: id, Lifecycle: lifecycle, Weight: 1}}},
	}
	for _, c := range change {
		c(&t)
	}
	return t
}

func tagged(key, value string) func(*Target) { return func(t *Target) { t.Instance.Tags[key] = value } }

func groupless(t *Target) { t.Group = nil }

func TestPreflight(t *testing.T) {
	for name, c := range map[string]struct {
		target        Target
		action        Action
		refresh       string
		message, hint string
		warning       string
	}{
		"in service":         {target: target(InService)},
		"entering standby":   {target: target(EnteringStandby)},
		"on standby already": {target: target(Standby)},
		"in a managed node group": {target: target(InService, tagged("eks:nodegroup-name", "ng")),
			warning: `belongs to managed node group "ng": AWS documents no support`},
		"AZRebalance suspended is nobody's business": {target: target(InService, func(t *Target) { t.Group.Suspended = []string{"AZRebalance"} })},
		"Launch suspended": {target: target(InService, func(t *Target) { t.Group.Suspended = []string{"AZRebalance", "Launch"} }),
			message: `process Launch of Auto Scaling group "g" is suspended`, hint: "aws autoscaling resume-processes --auto-scaling-group-name g --scaling-processes Launch"},
		"an instance refresh": {target: target(InService), refresh: "r-1",
			message: `instance refresh "r-1" of Auto Scaling group "g" is in progress`, hint: "cancel-instance-refresh --auto-scaling-group-name g"},
		"pending":                       {target: target("Pending:Wait"), message: `is in lifecycle state "Pending:Wait", which cannot be put on standby`, hint: "InService"},
		"terminating":                   {target: target("Terminating:Wait"), message: `is in lifecycle state "Terminating:Wait"`, hint: "InService"},
		"in a warm pool":                {target: target("Warmed:Stopped"), message: `is in lifecycle state "Warmed:Stopped"`, hint: "InService"},
		"in a state not known yet":      {target: target("Hibernating"), message: `is in lifecycle state "Hibernating"`, hint: "InService"},
		"terminated":                    {target: target("", groupless, func(t *Target) { t.Instance.State = "terminated" }), message: "is terminated"},
		"shutting down":                 {target: target(InService, func(t *Target) { t.Instance.State = "shutting-down" }), message: "is shutting-down"},
		"in no group":                   {target: target("", groupless), message: "belongs to no Auto Scaling group", hint: "only members"},
		"Karpenter's":                   {target: target("", groupless, tagged("karpenter.sh/nodepool", "default")), message: `is managed by Karpenter (NodePool "default")`, hint: "let Karpenter replace it"},
		"spot, to be stopped":           {target: target(InService, func(t *Target) { t.Instance.Spot = true }), message: "is a spot instance and cannot be stopped", hint: "--action terminate"},
		"spot, to be terminated":        {target: target(InService, func(t *Target) { t.Instance.Spot = true }), action: Terminate},
		"instance store, to be stopped": {target: target(InService, func(t *Target) { t.Instance.RootOnInstanceStore = true }), message: "has its root volume on the instance store and cannot be stopped", hint: "--action terminate"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.action == "" {
				c.action = Stop
			}
			warnings, err := Preflight(c.target, c.action, c.refresh)
			if (err != nil) != (c.message != "") || (err != nil && (!strings.Contains(err.Error(), c.message) || !strings.Contains(hint.Of(err), c.hint))) {
				t.Errorf("error %v, hint %q", err, hint.Of(err))
			}
			if got := strings.Join(warnings, "\n"); (got != "") != (c.warning != "") || !strings.Contains(got, c.warning) {
				t.Errorf("warnings %q", got)
			}
		})
	}
}

func TestOtherCluster(t *testing.T) {
	for name, c := range map[string]struct {
		tags    []string
		cluster string
		want    string
	}{
		"tagged for this one":              {[]string{"kubernetes.io/cluster/prod"}, "prod", ""},
		"tagged for another":               {[]string{"kubernetes.io/cluster/staging"}, "prod", "staging"},
		"tagged for both":                  {[]string{"kubernetes.io/cluster/prod", "kubernetes.io/cluster/staging"}, "prod", ""},
		"tagged for none":                  {[]string{"Name"}, "prod", ""},
		"a name that begins like this one": {[]string{"kubernetes.io/cluster/prod-2"}, "prod", "prod-2"},
		"the cluster's name is not known":  {[]string{"kubernetes.io/cluster/staging"}, "", "staging"},
	} {
		t.Run(name, func(t *testing.T) {
			i := Instance{Tags: map[string]string{}}
			for _, tag := range c.tags {
				i.Tags[tag] = "owned"
			}
			if got := OtherCluster(i, c.cluster); got != c.want {
				t.Errorf("other cluster %q, want %q", got, c.want)
			}
		})
	}
}

// groupOf makes a group of members "id:lifecycle" or "id:lifecycle:weight"; the target is called old.
func groupOf(minimum, desired, maximum int32, members ...string) Group {
	g := Group{Name: "g", Min: minimum, Desired: desired, Max: maximum}
	for _, text := range members {
		m := Member{Weight: 1}
		parts := strings.Split(text, "/")
		m.ID, m.Lifecycle = parts[0], parts[1]
		if len(parts) > 2 {
			_, _ = fmt.Sscan(parts[2], &m.Weight)
			g.Weighted = true
		}
		g.Members = append(g.Members, m)
	}
	return g
}

func TestHandover(t *testing.T) {
	baseline := []string{"old", "a", "b"}
	for name, c := range map[string]struct {
		group      Group
		candidates []string
		booting    int
		says       string
	}{
		"nothing launched yet":           {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService"), nil, 0, "instance old is Standby, no replacement launched yet"},
		"one boots":                      {groupOf(1, 3, 5, "old/EnteringStandby", "a/InService", "b/InService", "new/Pending"), nil, 1, "instance old is EnteringStandby, 1 replacement(s) booting"},
		"one waits for a lifecycle hook": {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService", "new/Pending:Wait"), nil, 1, "instance old is Standby, 1 replacement(s) booting"},
		"one serves":                     {groupOf(1, 3, 5, "new/InService", "old/Standby", "a/InService", "b/InService"), []string{"new"}, 0, "instance old is Standby"},
		"two serve and one boots":        {groupOf(1, 3, 5, "z/InService", "y/InService", "x/Pending", "old/Standby"), []string{"y", "z"}, 1, "instance old is Standby"},
		"one comes and goes":             {groupOf(1, 3, 5, "old/Standby", "new/Terminating", "a/InService", "b/InService"), nil, 0, "instance old is Standby, no replacement launched yet"},
		"a newcomer is put on standby":   {groupOf(1, 3, 5, "old/Standby", "new/Standby"), nil, 0, "instance old is Standby, no replacement launched yet"},
		"the target is gone":             {groupOf(1, 3, 5, "a/InService", "b/InService"), nil, 0, "instance old is , no replacement launched yet"},
	} {
		t.Run(name, func(t *testing.T) {
			h := handover(c.group, "old", baseline)
			var candidates []string
			for _, m := range h.Candidates {
				candidates = append(candidates, m.ID)
			}
			if diff := cmp.Diff(c.candidates, candidates); diff != "" || len(h.Booting) != c.booting {
				t.Errorf("%d booting, want %d; candidates in stable order (-want +got):\n%s", len(h.Booting), c.booting, diff)
			}
			if got := h.Describe("old", ""); got != c.says {
				t.Errorf("it says %q, want %q", got, c.says)
			}
			if got := h.Describe("old", "InsufficientInstanceCapacity"); got != "instance old is "+h.Lifecycle+", the newest launch failed: InsufficientInstanceCapacity" {
				t.Errorf("it says %q", got)
			}
		})
	}
}

func TestPlanReturn(t *testing.T) {
	baseline := []string{"old", "a", "b"}
	for name, c := range map[string]struct {
		group Group
		want  Stage
	}{
		"no replacement came":                                  {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService"), Lowering},
		"the group is at its minimum":                          {groupOf(3, 3, 5, "old/Standby", "a/InService", "b/InService"), Raising},
		"somebody lowered the capacity meanwhile":              {groupOf(1, 2, 5, "old/Standby", "a/InService", "b/InService"), Surplus},
		"the replacement serves":                               {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService", "new/InService"), Surplus},
		"the replacement boots":                                {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService", "new/Pending"), Surplus},
		"another member died, the newcomer is its replacement": {groupOf(1, 3, 5, "old/Standby", "a/InService", "new/InService"), Lowering},
		"weighted, no replacement":                             {groupOf(1, 6, 9, "old/Standby/2", "a/InService/2", "b/InService/2"), Lowering},
		"weighted, at the minimum":                             {groupOf(5, 6, 9, "old/Standby/2", "a/InService/2", "b/InService/2"), Raising},
		"weighted, a newcomer serves":                          {groupOf(1, 6, 9, "old/Standby/2", "a/InService/2", "b/InService/2", "new/InService/1"), Surplus},
	} {
		t.Run(name, func(t *testing.T) {
			if got := PlanReturn(c.group, "old", baseline); got != c.want {
				t.Errorf("plan %q, want %q", got, c.want)
			}
		})
	}
}

// A group lets a member go as soon as the others meet the desired capacity. It must have no reason to while the target
// comes back.
func TestPlanReturnCostsNobodyItsPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weighted := rapid.Bool().Draw(t, "weighted")
		weight := func() int32 {
			if !weighted {
				return 1
			}
			return rapid.Int32Range(1, 4).Draw(t, "weight")
		}
		old := Member{ID: "old", Lifecycle: Standby, Weight: weight()}
		g := Group{Weighted: weighted, Min: rapid.Int32Range(0, 4).Draw(t, "min"), Members: []Member{old}}
		baseline := []string{"old"}
		whole := old.Weight // of a group at rest, before the recycle
		lightest := old.Weight
		for i := range rapid.IntRange(0, 4).Draw(t, "others") {
			m := Member{ID: fmt.Sprintf("m%d", i), Lifecycle: InService, Weight: weight()}
			baseline, g.Members = append(baseline, m.ID), append(g.Members, m)
			whole, lightest = whole+m.Weight, min(lightest, m.Weight)
		}
		g.Desired = whole - rapid.Int32Range(0, lightest-1).Draw(t, "beyond") // weights may overshoot a little
		if g.Desired < g.Min {
			return // no group is like this
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "newcomers") {
			if g.capacity("old", serves) < g.Desired {
				g.Members = append(g.Members, Member{ID: fmt.Sprintf("n%d", i), Lifecycle: rapid.SampledFrom([]string{InService, Pending}).Draw(t, "lifecycle"), Weight: weight()})
			}
		}
		dispensable := func(desired, capacity int32) []string {
			var ids []string
			for _, m := range g.Members[1:] {
				if capacity-m.Weight >= desired {
					ids = append(ids, m.ID)
				}
			}
			return ids
		}
		if len(dispensable(g.Desired, g.capacity("old", serves))) > 0 {
			return // it was about to let one go anyway
		}
		plan := PlanReturn(g, "old", baseline)
		desired, capacity := g.Desired, g.capacity("old", serves)
		if plan == Lowering {
			if desired -= old.Weight; desired < g.Min {
				t.Errorf("lowered to %d, beneath the minimum %d", desired, g.Min)
			}
			if going := dispensable(desired, capacity); len(going) > 0 {
				t.Errorf("after lowering to %d the group may let %v go: %+v", desired, going, g)
			}
		}
		desired, capacity = desired+old.Weight, capacity+old.Weight
		if going := dispensable(desired, capacity); len(going) > 0 {
			t.Errorf("back in service with desired capacity %d, the group may let %v go: %+v", desired, going, g)
		}
		if plan == Lowering && desired != g.Desired {
			t.Errorf("desired capacity ends at %d, was %d", desired, g.Desired)
		}
	})
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		before, after Group
		want          []string // parts of the differences
	}{
		"as it should be, from standby": {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService", "new/InService"), groupOf(1, 3, 5, "a/InService", "b/InService", "new/InService"), nil},
		"desired capacity went down":    {groupOf(1, 3, 5, "old/Standby", "a/InService"), groupOf(1, 2, 5, "a/InService"), []string{"is 2, expected 3"}},
		"somebody raised it":            {groupOf(1, 3, 5, "old/Standby", "a/InService"), groupOf(1, 4, 5, "a/InService"), []string{"is 4, expected 3"}},
		"another was let go":            {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/InService"), groupOf(1, 3, 5, "a/Terminating"), []string{"instance a ", "instance b "}},
		"one was on its way out before": {groupOf(1, 3, 5, "old/Standby", "a/InService", "b/Terminating"), groupOf(1, 3, 5, "a/InService"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := Compare(c.before, c.after, "old")
			if len(got) != len(c.want) {
				t.Fatalf("differences %q", got)
			}
			for i, part := range c.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("difference %q, want %q in it", got[i], part)
				}
			}
		})
	}
}
