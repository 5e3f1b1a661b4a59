package cli_test

import (
	"strings"
	"testing"
	"time"
)

// Stories that broke a promise once. Random schedules found and shrank them; their seeds give each call the latency that
// it takes.
func TestScenariosThatBrokeAPromiseOnce(t *testing.T) {
	base := baseOptions(t)
	long := options{MaxWait: 2 * time.Hour}
	for name, s := range map[string]schedule{
		"a workflow goes on with taint after another one took its claim and brought the node back": {
			Seed: 1, Group: groupShape{Size: 1, Slack: 1, Zones: 1, Weight: 1}, Options: options{Terminate: true, MaxWait: 2 * time.Hour},
			Cloud: cloud{AtMaxAllowed: true, EnteringStandby: 5 * time.Minute, Detaching: 5 * time.Second, Boot: 20 * time.Second, Joins: 15 * time.Second},
			Runs:  []runPlan{{}, {5, 8 * time.Minute}}, Faults: []fault{{65, 1, kubeThrottled}, {2, 6, kubeGone}}, Rate: 100,
			Acts: []act{{440 * time.Second, lowerDesired}},
		},
		"an instance is brought back while what was to be remembered of that could not be written, and lost then": {
			Seed: 0x1205df13, Group: groupShape{Size: 3, Room: 2, Slack: 2, Zones: 3}, Options: long,
			Cloud: cloud{EnteringStandby: 5 * time.Second, Detaching: 5 * time.Second, Boot: 20 * time.Second, Joins: time.Minute, NodeNeverReady: true},
			Runs:  []runPlan{{}}, Rate: 20, Acts: []act{{time.Second, startRefresh}, {2 * time.Second, lowerDesired}},
		},
		"a launch succeeds at last while settle lowers the desired capacity by a call that takes long": {
			Seed: 35, Group: groupShape{Size: 3, Room: 2, Slack: 2, Zones: 3}, Options: options{Terminate: true, MaxWait: 2 * time.Hour},
			Cloud: cloud{EnteringStandby: 5 * time.Second, Detaching: 5 * time.Second, Boot: 20 * time.Second, Joins: 15 * time.Second, LaunchFailures: 3, StaleReads: 2 * time.Second},
			Runs:  []runPlan{{}}, Pods: []podPlan{{servicePod, 0, time.Minute}, {servicePod, 13 * time.Minute, 3 * time.Minute}, {daemonPod, 21 * time.Minute, 3 * time.Minute}},
			Faults:  []fault{{58, 1, slow}, {1, 1, kubeThrottled}, {50, 1, awsBroken}, {55, 1, kubeCut}},
			Crashes: []crash{{39, true, thenStop}, {4, true, thenRetry}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if v := play(t, base, s); len(v.violations) > 0 {
				t.Errorf("%s\n%s\n%s", s, v.scenario(), strings.Join(v.violations, "\n"))
			}
		})
	}
}
