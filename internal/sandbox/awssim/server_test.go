package awssim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault awssim.Fault
		story func(w *world, ids []string)
	}{
		{"an error before leaves all as it was", awssim.Fault{Service: "autoscaling", Action: "EnterStandby", Kind: awssim.FaultErrorBefore, Code: "ResourceContention"}, func(w *world, ids []string) {
			err := w.standby(false, ids[0])
			var contention *types.ResourceContentionFault
			if !errors.As(err, &contention) {
				w.Errorf("got %v, want ResourceContention", err)
			}
			var answer *awshttp.ResponseError
			if !errors.As(err, &answer) || answer.HTTPStatusCode() != 500 {
				w.Errorf("got %v, want status 500", err)
			}
			w.want(w.state(ids[0]), "InService", "state")
			w.ok(w.standby(false, ids[0]))
		}},
		{"an error after hides what was done", awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultErrorAfter, Code: "InternalFailure", Message: "oops", Status: 500}, func(w *world, ids []string) {
			w.refused(w.standby(false, ids[0]), "InternalFailure", "oops")
			w.want(w.state(ids[0]), "EnteringStandby", "state")
		}},
		{"a drop before", awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultDropBefore}, func(w *world, ids []string) {
			if err := w.standby(false, ids[0]); !errors.Is(err, io.ErrUnexpectedEOF) {
				w.Errorf("got %v, want a dropped connection", err)
			}
			w.want(w.state(ids[0]), "InService", "state")
		}},
		{"a drop after", awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultDropAfter}, func(w *world, ids []string) {
			if err := w.standby(false, ids[0]); !errors.Is(err, io.ErrUnexpectedEOF) {
				w.Errorf("got %v, want a dropped connection", err)
			}
			w.want(w.state(ids[0]), "EnteringStandby", "state")
		}},
		{"a delay", awssim.Fault{Action: "EnterStandby", Kind: awssim.FaultDelay, Delay: "40s"}, func(w *world, ids []string) {
			began := time.Now()
			w.ok(w.standby(false, ids[0]))
			w.want(time.Since(began), 40*time.Second, "time taken")
		}},
		{"two of them, for one action", awssim.Fault{Action: "EnterStandby", Count: 2, Kind: awssim.FaultErrorBefore, Code: "Throttling"}, func(w *world, ids []string) {
			w.want(w.state(ids[0]), "InService", "other actions go through")
			for range 2 {
				w.refused(w.standby(false, ids[0]), "Throttling", "Rate exceeded")
			}
			w.ok(w.standby(false, ids[0]))
			w.want(len(w.sim.Faults()), 0, "faults left")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.group(1, 4, 3)
				w.ok(w.sim.AddFaults(c.fault))
				c.story(w, ids)
			})
		})
	}
}

func TestThrottle(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.AutoScalingRate, c.AutoScalingBurst, c.EC2Rate, c.EC2Burst = 0.5, 3, 1, 1 }, func(w *world) {
		describe := func() error {
			_, err := w.asg.DescribeAutoScalingGroups(w.ctx, &autoscaling.DescribeAutoScalingGroupsInput{})
			return err
		}
		for range 3 {
			w.ok(describe())
		}
		_, err := w.asg.DescribeScalingActivities(w.ctx, &autoscaling.DescribeScalingActivitiesInput{})
		w.refused(err, "Throttling", "Rate exceeded")
		w.pass(2 * time.Second)
		w.ok(describe())
		w.refused(describe(), "Throttling", "Rate exceeded")

		_, err = w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{})
		w.ok(err)
		_, err = w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{})
		w.refused(err, "RequestLimitExceeded", "Request limit exceeded.")
	})
}

func TestCallLog(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 3)
		since := w.sim.Calls(0)[len(w.sim.Calls(0))-1].Seq
		w.ok(w.standby(false, ids[0]))
		w.refused(w.standby(false, ids[0]), "ValidationError", "The instance %s is not in InService.", ids[0])
		_, err := w.ec2.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: ids[:1], Tags: []ec2types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
		w.ok(err)
		w.ok(w.terminate(false, ids[1]))
		w.state(ids[0])

		calls := w.sim.Calls(since)
		w.want(len(calls), 5, "calls")
		first := calls[0]
		if !strings.Contains(first.UserAgent, "aws-sdk-go-v2/") {
			w.Errorf("user agent is %q", first.UserAgent)
		}
		first.UserAgent, first.Time = "", time.Time{}
		group := w.sim.State().Groups[0]
		want := awssim.Call{
			Effect: true, Seq: since + 1, Service: "autoscaling", Action: "EnterStandby", AccessKey: "sandbox", Region: region,
			Params:    map[string]string{"AutoScalingGroupName": name, "InstanceIds.member.1": ids[0], "ShouldDecrementDesiredCapacity": "false"},
			Resources: []awssim.Resource{{ARN: group.ARN, Tags: map[string]string{"kubernetes.io/cluster/sandbox": "owned"}}},
		}
		if diff := cmp.Diff(want, first); diff != "" {
			w.Error(diff)
		}
		w.want(calls[1].ErrorCode, "ValidationError", "error code")
		w.want(calls[2].Resources[0].ARN, "arn:aws:ec2:eu-central-1:000000000000:instance/"+ids[0], "instance")
		w.want(calls[2].Resources[0].Tags["k"], "", "tags are those before the call")
		w.want(calls[3].Resources[0].ARN, group.ARN, "the group of an instance")
		w.want(calls[4].ReadOnly, true, "read only")
	})
}

func TestNoCallLog(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.NoCallLog = true }, func(w *world) {
		w.group(1, 4, 3)
		w.want(len(w.sim.Calls(0)), 0, "calls kept")
		var told awssim.Call
		w.sim.Observe(func(c awssim.Change) {
			if c.Call != nil {
				told = *c.Call
			}
		})
		w.desired(2)
		w.want(told.Params["DesiredCapacity"], "2", "parameter told")
		w.want(len(told.Resources), 1, "resources told")
		w.want(len(w.sim.Calls(0)), 0, "calls kept in the end")
	})
}

// The same seed and the same calls take the same course.
func TestDeterminism(t *testing.T) {
	var runs [2]string
	for i := range runs {
		inWorld(t, nil, func(w *world) {
			ids := w.group(1, 6, 5)
			for range i * 7 {
				w.describe() // looking must not change what comes
			}
			w.ok(w.standby(false, ids[:2]...))
			w.ok(w.terminate(false, ids[3]))
			w.pass(10 * time.Minute)
			for _, e := range w.sim.Events(0) {
				e.Call = 0 // the looks have numbers too
				runs[i] += fmt.Sprintln(e)
			}
		})
	}
	if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
		t.Error(diff)
	}
}

func TestControlAPI(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 4, 3)
		do := func(method, path, body string) (int, string) {
			answer := httptest.NewRecorder()
			w.sim.ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
			return answer.Code, strings.TrimSpace(answer.Body.String())
		}
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string // somewhere in the answer
		}{
			{"GET", "/_sim/calls?since=0", "", 200, `"action":"CreateAutoScalingGroup"`},
			{"GET", "/_sim/calls?since=x", "", 400, "reading since"},
			{"GET", "/_sim/events", "", 200, `"to":"InService"`},
			{"GET", "/_sim/state", "", 200, `"desired":3`},
			{"GET", "/_sim/config", "", 200, `"boot":"20s"`},
			{"PUT", "/_sim/config", `{"boot":"1m30s","detachFromStandby":"refuse"}`, 200, `"boot":"1m30s"`},
			{"PUT", "/_sim/config", `{"boot":"5s","detachFromStandby":"maybe"}`, 400, `setting \"detachFromStandby\" is \"maybe\"`},
			{"GET", "/_sim/config", "", 200, `"boot":"1m30s"`},
			{"PUT", "/_sim/config", `{"staleReads":"3s","faultRate":0.5,"faultKinds":["throttling"]}`, 200, `"faultKinds":["throttling"]`},
			{"PUT", "/_sim/config", `{"faultRate":2}`, 400, `want a share`},
			{"PUT", "/_sim/config", `{"faultKinds":["earthquake"]}`, 400, `earthquake`},
			{"PUT", "/_sim/config", `{"staleReads":"0s","faultRate":0,"faultKinds":[]}`, 200, `"faultRate":0`},
			{"PUT", "/_sim/config", `{"boots":"5s"}`, 400, `no setting is called \"boots\"`},
			{"PUT", "/_sim/config", `{"boot":5}`, 400, `a duration is a string`},
			{"PUT", "/_sim/config", `{"boot":"-5s"}`, 400, `negative`},
			{"POST", "/_sim/faults", `{"action":"EnterStandby","kind":"delay","delay":"1s"}`, 204, ""},
			{"POST", "/_sim/faults", `[{"kind":"drop-after"},{"kind":"error-before","code":"Throttling"}]`, 204, ""},
			{"POST", "/_sim/faults", `{"kind":"earthquake"}`, 400, "earthquake"},
			{"POST", "/_sim/faults", `{"kind":"error-after"}`, 400, "needs a code"},
			{"GET", "/_sim/faults", "", 200, `"kind":"drop-after"`},
			{"DELETE", "/_sim/faults", "", 204, ""},
			{"GET", "/_sim/faults", "", 200, `[]`},
			{"POST", "/_sim/instances", `{"tags":{"karpenter.sh/nodepool":"default"}}`, 200, `"instanceId":"i-`},
			{"POST", "/_sim/instances", `{"availabilityZone":"mars"}`, 400, "is no zone"},
			{"PATCH", "/_sim/instances/" + ids[0], `{"rootDeviceType":"instance-store"}`, 204, ""},
			{"PATCH", "/_sim/instances/" + ids[0], `{"lifecycle":"eternal"}`, 400, "eternal"},
			{"POST", "/_sim/instances/" + ids[0] + "/stop", "", 204, ""},
			{"POST", "/_sim/instances/" + ids[0] + "/start", "", 400, "cannot start it while stopping"},
			{"POST", "/_sim/instances/" + ids[1] + "/terminate", "", 204, ""},
			{"POST", "/_sim/instances/i-0/terminate", "", 400, "does not exist"},
			{"POST", "/_sim/instances/" + ids[2] + "/rejoin", "", 400, "the simulator has no cluster"},
			{"POST", "/_sim/instances/" + ids[2] + "/leave", `{"nodeLeaves":"deleted"}`, 400, "the simulator has no cluster"},
			{"POST", "/_sim/instances/" + ids[2] + "/leave", `{"how":"deleted"}`, 400, "how"},
			{"PUT", "/_sim/config", `{"nodeLeaves":"sideways"}`, 400, "sideways"},
			{"PUT", "/_sim/config", `{"azRebalance":true,"azRebalanceAfter":"1m","refreshPatience":"5m","nodeLeavesAfter":"5m","noCallLog":false}`, 200, `"refreshPatience":"5m0s"`},
			{"GET", "/_sim/events", "", 200, `"cause":"scale-out"`},
			{"POST", "/_sim/groups/workers/azrebalance", "", 200, `{"acted":false}`},
			{"POST", "/_sim/groups/other/azrebalance", "", 400, "does not exist"},
			{"DELETE", "/_sim/calls", "", 204, ""},
			{"GET", "/_sim/calls", "", 200, "[]"},
			{"GET", "/_sim/nothing", "", 404, ""},
		} {
			status, body := do(c.method, c.path, c.body)
			if status != c.status || !strings.Contains(body, c.want) {
				w.Errorf("%s %s %s: got %d %s, want %d and %s", c.method, c.path, c.body, status, body, c.status, c.want)
			}
		}
		_, body := do("GET", "/_sim/config", "")
		var settings map[string]any
		w.ok(json.Unmarshal([]byte(body), &settings))
		status, _ := do(http.MethodPut, "/_sim/config", body)
		w.want(status, 200, "what is read can be written")
	})
}

func TestNewRefusesSettingsThatCannotBe(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	awssim.New(awssim.Config{NodeNaming: "by-moonlight"})
}
