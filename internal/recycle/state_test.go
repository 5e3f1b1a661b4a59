package recycle

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
)

var (
	lifecycles = []string{
		"", asg.InService, asg.Pending, "Pending:Wait", asg.EnteringStandby, asg.Standby, asg.Detaching, "Terminating", asg.TerminatingWait, "Terminating:Proceed",
		asg.Retained, "Quarantined", "Warmed:Stopped", "SomethingNew",
	}
	instanceStates = []string{"pending", "running", "stopping", "stopped", "shutting-down", "terminated", asg.Unknown}
	retired        = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	records        = map[string]*claim.Record{
		"none":      nil,
		"begun":     {Progress: claim.Progress{Members: []string{"i-1"}, WaitingSince: retired}},
		"replaced":  {Progress: claim.Progress{Members: []string{"i-1"}, Replaced: true, Replacements: []string{"i-2"}}},
		"returning": {Progress: claim.Progress{Replaced: true, Return: `{"stage":"exiting","desired":3,"weight":1}`}},
		"surplus":   {Progress: claim.Progress{Return: `{"stage":"surplus","desired":3,"weight":1}`}},
		"forged":    {Progress: claim.Progress{Return: `{"stage":"lowering","desired":1,"weight":-2}`}},
		"unread":    {Progress: claim.Progress{Return: `{"stage":`}},
		"retiring":  {Progress: claim.Progress{Replaced: true, RetiringSince: retired}},
	}
	tagsOf = map[string]map[string]string{
		"untagged": {},
		"tagged":   {asg.TagRetiredAt: retired.Format(time.RFC3339)},
		"garbled":  {asg.TagRetiredAt: "yesterday"},
	}
)

// one is a case of the whole product.
type situation struct {
	lifecycle, instance, record, tags string
	startedAgain                      bool
}

func (s situation) String() string {
	return fmt.Sprintf("group %q, instance %s, record %s, %s, started again %t", s.lifecycle, s.instance, s.record, s.tags, s.startedAgain)
}

func (s situation) stage() Stage {
	i := asg.Instance{ID: "i-1", State: s.instance, Tags: tagsOf[s.tags], LaunchTime: retired.Add(-time.Hour)}
	if s.startedAgain {
		i.LaunchTime = retired.Add(time.Hour)
	}
	t := asg.Target{Instance: i}
	if s.lifecycle != "" {
		t.Group = &asg.Group{Name: "workers", Members: []asg.Member{{ID: "i-1", Lifecycle: s.lifecycle, Weight: 1}}}
	}
	return StateOf(t, records[s.record])
}

func situations() (all []situation) {
	for _, lifecycle := range lifecycles {
		for _, instance := range instanceStates {
			for record := range records {
				for tags := range tagsOf {
					all = append(all, situation{lifecycle, instance, record, tags, false}, situation{lifecycle, instance, record, tags, true})
				}
			}
		}
	}
	return all
}

func (s situation) gone() bool {
	return slices.Contains([]string{"shutting-down", "terminated", asg.Unknown}, s.instance)
}

// Each rule says of every situation whether a stage may be the answer. Together they leave one stage for each.
func TestStateOfEverySituation(t *testing.T) {
	rules := map[string]func(s situation, got Stage) bool{
		"only what its recycle takes out goes forward": func(s situation, got Stage) bool {
			byTags := s.record == "none" && s.tags != "untagged" && (!s.startedAgain || s.tags != "tagged")
			announced := s.record == "retiring" || byTags && (s.lifecycle == "" || s.lifecycle == asg.Detaching) || s.lifecycle == asg.Standby && s.gone()
			return !got.forward() || announced
		},
		"what serves and runs never goes forward": func(s situation, got Stage) bool {
			return !slices.Contains([]string{asg.InService, asg.Pending, "Pending:Wait", asg.EnteringStandby}, s.lifecycle) || !got.forward()
		},
		"an announced detach goes on until the instance has left": func(s situation, got Stage) bool {
			leaving := slices.Contains([]string{asg.Standby, asg.Detaching, "Terminating", asg.TerminatingWait, "Terminating:Proceed"}, s.lifecycle)
			return s.record != "retiring" || !leaving || got == Retiring
		},
		"and after that to the end": func(s situation, got Stage) bool {
			return s.record != "retiring" || s.lifecycle != "" || got == Detached
		},
		"tags are nothing beside a record": func(s situation, got Stage) bool {
			without := s
			without.tags, without.startedAgain = "untagged", false
			return s.record == "none" || got == without.stage()
		},
		"tags are nothing while the group has the instance": func(s situation, got Stage) bool {
			without := s
			without.tags = "untagged"
			return s.lifecycle == "" || s.lifecycle == asg.Detaching || got == without.stage()
		},
		"started again, an instance is somebody's": func(s situation, got Stage) bool {
			again := s.lifecycle == "" && s.record == "none" && s.tags == "tagged" && s.startedAgain
			return !again || got == Released || got == Gone
		},
		"on standby": func(s situation, got Stage) bool {
			want := map[string]Stage{"none": Waiting, "begun": Waiting, "replaced": Replaced, "returning": Returning, "surplus": Returning, "forged": Waiting, "unread": Waiting, "retiring": Retiring}
			return s.lifecycle != asg.Standby || s.gone() && got == Retiring || !s.gone() && got == want[s.record]
		},
		"about to be": func(s situation, got Stage) bool { return s.lifecycle != asg.EnteringStandby || got == Waiting },
		"in service": func(s situation, got Stage) bool {
			serving := s.lifecycle == asg.InService || strings.HasPrefix(s.lifecycle, asg.Pending)
			returning := s.record == "returning" || s.record == "surplus"
			return !serving || s.gone() && got == Terminating || !s.gone() && (returning && got == Returning || !returning && got == Serving)
		},
		"retained": func(s situation, got Stage) bool { return (s.lifecycle == asg.Retained) == (got == Kept) },
		"terminating": func(s situation, got Stage) bool {
			terminating := strings.HasPrefix(s.lifecycle, "Terminat") && s.lifecycle != asg.Retained
			return !terminating || s.record == "retiring" || got == Terminating
		},
		"outside of any group": func(s situation, got Stage) bool {
			return s.lifecycle != "" || got == Detached || s.gone() && got == Gone || !s.gone() && got == Released
		},
		"detached by somebody else": func(s situation, got Stage) bool {
			return s.lifecycle != asg.Detaching || got == Retiring || got == Released
		},
		"states that nobody knows are nobody's": func(s situation, got Stage) bool {
			unclear := slices.Contains([]string{"Quarantined", "Warmed:Stopped", "SomethingNew"}, s.lifecycle)
			return unclear == (got == Unclear) || unclear && s.gone() && got == Terminating
		},
	}
	all, seen := situations(), map[Stage]int{}
	for _, s := range all {
		got := s.stage()
		seen[got]++
		for rule, holds := range rules {
			if !holds(s, got) {
				t.Errorf("%s: %q: %s", s, got, rule)
			}
		}
	}
	t.Logf("%d situations: %v", len(all), seen)
	for _, stage := range stages() {
		if seen[stage] == 0 {
			t.Errorf("no situation is %q", stage)
		}
	}
}

func stages() []Stage {
	return []Stage{Serving, Waiting, Replaced, Returning, Retiring, Detached, Terminating, Kept, Released, Gone, Unclear}
}

// The table in the docs names every stage.
func TestTheDocsExplainEveryStage(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-it-works.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^\| \*\*([a-z ]+)\*\* \|`).FindAllSubmatch(page, -1) {
		named = append(named, string(m[1]))
	}
	for _, stage := range stages() {
		if !slices.Contains(named, string(stage)) {
			t.Errorf("docs/how-it-works.md has no row for the stage %q", stage)
		}
	}
	if len(named) != len(stages()) {
		t.Errorf("docs/how-it-works.md names the stages %v", named)
	}
}
