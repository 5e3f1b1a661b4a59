package awssim_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// BenchmarkCalls is what one describing and one changing call cost together,
// through Transport, with the SDK and without: the difference is the SDK's.
func BenchmarkCalls(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  awssim.Config
	}{{"bare", awssim.Config{}}, {"bare, without a call log", awssim.Config{NoCallLog: true}}, {"bare, with stale reads", awssim.Config{StaleReads: time.Minute}}} {
		b.Run(c.name, func(b *testing.B) {
			call := bareCaller(b, awssim.New(c.cfg))
			benchGroup(call)
			b.ReportAllocs()
			for b.Loop() {
				call("DescribeAutoScalingGroups", "AutoScalingGroupNames.member.1", name)
				call("SuspendProcesses", "AutoScalingGroupName", name, "ScalingProcesses.member.1", "AZRebalance")
			}
		})
	}
	b.Run("with the SDK", func(b *testing.B) {
		sim := awssim.New(awssim.Config{})
		benchGroup(bareCaller(b, sim))
		w := newWorld(&testing.T{}, sim, region)
		group := name
		b.ReportAllocs()
		for b.Loop() {
			_, err := w.asg.DescribeAutoScalingGroups(b.Context(), &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{group}})
			if err == nil {
				_, err = w.asg.SuspendProcesses(b.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &group, ScalingProcesses: []string{"AZRebalance"}})
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// bareCaller speaks the Query protocol by hand.
func bareCaller(b *testing.B, sim *awssim.Sim) func(action string, pairs ...string) {
	client := sim.HTTPClient()
	return func(action string, pairs ...string) {
		form := url.Values{"Action": {action}, "Version": {"2011-01-01"}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://awssim/", strings.NewReader(form.Encode()))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=bench/20000101/"+region+"/autoscaling/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		if answer.Body.Close(); answer.StatusCode != http.StatusOK {
			b.Fatalf("%s: status %d", action, answer.StatusCode)
		}
	}
}

// benchGroup is one of three members in service.
func benchGroup(call func(string, ...string)) {
	call("CreateAutoScalingGroup", "AutoScalingGroupName", name, "MinSize", "1", "MaxSize", "5", "DesiredCapacity", "3",
		"AvailabilityZones.member.1", region+"a", "AvailabilityZones.member.2", region+"b", "LaunchConfigurationName", "nodes")
}
