package asg

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var now = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// ours are the templates of the cluster's groups.
var ours = map[string]bool{"lt-1": true}

const week = 7 * 24 * time.Hour

// old is an instance that a recycle stopped eight days ago.
func old(change ...func(*Instance)) Instance {
	i := Instance{ID: id, State: "stopped", LaunchTime: now.Add(-30 * 24 * time.Hour), Tags: map[string]string{
		TagRetiredAt: now.Add(-8 * 24 * time.Hour).Format(time.RFC3339), TagAction: "stop", TagNode: "n", TagGroup: "g", TagLaunchTemplate: "lt-1",
	}}
	for _, c := range change {
		c(&i)
	}
	return i
}

func with(key, value string) func(*Instance) { return func(i *Instance) { i.Tags[key] = value } }

func lacking(key string) func(*Instance) { return func(i *Instance) { delete(i.Tags, key) } }

func in(state string) func(*Instance) { return func(i *Instance) { i.State = state } }

func TestReapable(t *testing.T) {
	at := func(ago time.Duration) string { return now.Add(-ago).Format(time.RFC3339) }
	for name, c := range map[string]struct {
		instance Instance
		why      string // a part of it; "" means that it may be reaped
	}{
		"stopped by a recycle eight days ago":           {old(), ""},
		"its tag keep is false":                         {old(with(TagKeep, "false")), ""},
		"retired in another time zone":                  {old(with(TagRetiredAt, "2026-03-06T13:00:00+01:00")), ""},
		"a second older than it must be":                {old(with(TagRetiredAt, at(week+time.Second))), ""},
		"as old as it must be":                          {old(with(TagRetiredAt, at(week))), "less than 168h0m0s ago"},
		"retired in the future":                         {old(with(TagRetiredAt, at(-week))), "less than"},
		"running":                                       {old(in("running")), "it is running"},
		"stopping":                                      {old(in("stopping")), "it is stopping"},
		"terminated":                                    {old(in("terminated")), "it is terminated"},
		"in a state that EC2 does not say":              {old(in("")), "it is "},
		"stopped by a person":                           {old(lacking(TagRetiredAt)), "no recycle retired it"},
		"the tag is no time":                            {old(with(TagRetiredAt, "2026-03-06")), "malformed"},
		"it was to be terminated":                       {old(with(TagAction, "terminate")), `is not "stop"`},
		"nothing says what was to become of it":         {old(lacking(TagAction)), `is not "stop"`},
		"somebody put it into a group":                  {old(with(groupTag, "g")), "is a member"},
		"launched from another template":                {old(with(TagLaunchTemplate, "lt-2")), "no launch template of the cluster"},
		"launched from no template":                     {old(lacking(TagLaunchTemplate)), "no launch template of the cluster"},
		"kept":                                          {old(with(TagKeep, "true")), "keeps it"},
		"kept by the tag alone":                         {old(with(TagKeep, "")), "keeps it"},
		"started again, and stopped again by a person":  {old(func(i *Instance) { i.LaunchTime = now.Add(-week) }), "started again"},
		"launched in the second in which it was marked": {old(func(i *Instance) { i.LaunchTime = now.Add(-8 * 24 * time.Hour) }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if why := Reapable(c.instance, now, week, ours); (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Errorf("it says %q, want %q", why, c.why)
			}
		})
	}
}

// Whatever else is true of an instance: with one condition unmet it is never reaped, and with all met it is.
func TestNothingIsReapedThatLacksACondition(t *testing.T) {
	breaks := map[string]func(*rapid.T, *Instance){
		"nothing": func(*rapid.T, *Instance) {},
		"state": func(t *rapid.T, i *Instance) {
			i.State = rapid.SampledFrom([]string{"", "pending", "running", "stopping", "shutting-down", "terminated", "Stopped"}).Draw(t, "state")
		},
		"no time": func(t *rapid.T, i *Instance) {
			text := rapid.String().Draw(t, "retired-at")
			if _, err := time.Parse(time.RFC3339, text); err == nil {
				text += "!"
			}
			i.Tags[TagRetiredAt] = text
		},
		"no tag": func(t *rapid.T, i *Instance) {
			delete(i.Tags, rapid.SampledFrom([]string{TagRetiredAt, TagAction}).Draw(t, "tag"))
		},
		"action": func(t *rapid.T, i *Instance) {
			i.Tags[TagAction] = rapid.String().Filter(func(s string) bool { return s != "stop" }).Draw(t, "action")
		},
		"template": func(t *rapid.T, i *Instance) {
			i.Tags[TagLaunchTemplate] = rapid.String().Filter(func(s string) bool { return s != "lt-1" }).Draw(t, "template")
		},
		"group": func(t *rapid.T, i *Instance) { i.Tags[groupTag] = rapid.String().Draw(t, "group") },
		"keep": func(t *rapid.T, i *Instance) {
			i.Tags[TagKeep] = rapid.String().Filter(func(s string) bool { return s != "false" }).Draw(t, "keep")
		},
	}
	rapid.Check(t, func(t *rapid.T) {
		olderThan := time.Duration(rapid.Int64Range(1, 10_000).Draw(t, "older than, hours")) * time.Hour
		at := now.Add(-olderThan - time.Duration(rapid.Int64Range(1, 1_000_000).Draw(t, "older by, seconds"))*time.Second)
		i := Instance{ID: id, State: "stopped", LaunchTime: at.Add(-time.Duration(rapid.Int64Range(0, 1_000_000).Draw(t, "ran, seconds")) * time.Second)}
		i.Tags = rapid.MapOf(rapid.StringMatching(`[a-z]{1,8}`), rapid.String()).Draw(t, "other tags")
		maps.Copy(i.Tags, map[string]string{TagRetiredAt: at.Format(time.RFC3339), TagAction: "stop", TagLaunchTemplate: "lt-1"})
		if rapid.Bool().Draw(t, "keep=false") {
			i.Tags[TagKeep] = "false"
		}
		broken := rapid.SampledFrom([]string{"nothing", "state", "no time", "no tag", "action", "template", "group", "keep", "age", "start"}).Draw(t, "broken")
		switch broken {
		case "age":
			i.Tags[TagRetiredAt] = now.Add(-time.Duration(rapid.Int64Range(-1_000_000, int64(olderThan/time.Second)).Draw(t, "age, seconds")) * time.Second).Format(time.RFC3339)
		case "start":
			i.LaunchTime = at.Add(time.Duration(rapid.Int64Range(1, 1_000_000).Draw(t, "started later, seconds")) * time.Second)
		default:
			breaks[broken](t, &i)
		}
		if why := Reapable(i, now, olderThan, ours); (why == "") != (broken == "nothing") {
			t.Fatalf("with %s broken it says %q of %s", broken, why, fmt.Sprint(i))
		}
	})
}
