package workflows_test

import (
	"testing"

	"github.com/argoproj/argo-workflows/v3/util/expr/argoexpr"
	"github.com/argoproj/argo-workflows/v3/util/expr/env"
)

// The variables are strings, as the controller makes them from a pod that ended.
func TestRetryExpression(t *testing.T) {
	tests := map[string]struct {
		exitCode, status string
		want             bool
	}{
		"not done yet":                           {"75", "Failed", true},
		"the pod was deleted":                    {"-1", "Error", true},
		"the kubelet evicted the pod":            {"-1", "Failed", true},
		"the node was lost":                      {"-1", "Failed", true},
		"the pod ran past its deadline":          {"-1", "Failed", true},
		"killed by SIGTERM":                      {"143", "Failed", true},
		"killed by SIGKILL or for its memory":    {"137", "Failed", true},
		"failed":                                 {"1", "Failed", false},
		"wrong usage or input":                   {"2", "Failed", false},
		"Argo's executor failed":                 {"64", "Failed", false},
		"a panic, which exits 2 like bad usage":  {"2", "Failed", false},
		"a command that could not be started":    {"127", "Failed", false},
		"an exit code that has 75 in it":         {"175", "Failed", false},
		"outputs that could not be saved at all": {"0", "Error", true},
	}
	for _, step := range steps(t, recycleNode(t)) {
		for name, tt := range tests {
			t.Run(step.Name+"/"+name, func(t *testing.T) {
				got, err := argoexpr.EvalBool(step.RetryStrategy.Expression, env.GetFuncMap(map[string]any{
					"lastRetry.exitCode": tt.exitCode,
					"lastRetry.status":   tt.status,
					"lastRetry.duration": "12.5",
					"lastRetry.message":  "",
					"retries":            "3",
				}))
				if err != nil {
					t.Fatal(err)
				}
				if got != tt.want {
					t.Errorf("retried: %t, want %t", got, tt.want)
				}
			})
		}
	}
}

// Windows double from 20 minutes to a day, so that 14 days take 20 attempts: the rest is for lost
// pods. More would keep a step for hours whose pod can never be made, as each attempt then takes some seconds.
func TestRetriesAreFew(t *testing.T) {
	for _, wt := range templates(t) {
		for _, template := range wt.Spec.Templates {
			most := 100
			if wt.Name == "recycle-fleet" { // whose windows are half a day from the first
				most = 240
			}
			if r := template.RetryStrategy; r != nil && (r.Limit.IntValue() < 3 || r.Limit.IntValue() > most) {
				t.Errorf("%s/%s is tried %s times", wt.Name, template.Name, r.Limit)
			}
		}
	}
}
