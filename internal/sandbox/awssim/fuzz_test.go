package awssim

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzQuery: whatever a client sends, the answer is a well-formed document and
// no panic but the scripted one.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"Action=DescribeAutoScalingGroups&AutoScalingGroupNames.member.1=g&MaxRecords=0",
		"Action=CreateAutoScalingGroup&AutoScalingGroupName=h&MinSize=1&MaxSize=2&AvailabilityZones.member.1=eu-central-1a&LaunchConfigurationName=c",
		"Action=CreateAutoScalingGroup&AutoScalingGroupName=%3C%00&MinSize=1&MaxSize=2&VPCZoneIdentifier=a,b&MixedInstancesPolicy.LaunchTemplate.Overrides.member.1.WeightedCapacity=0",
		"Action=UpdateAutoScalingGroup&AutoScalingGroupName=g&MaxSize=-1",
		"Action=EnterStandby&AutoScalingGroupName=g&InstanceIds.member.99999999999999999999=i-1&ShouldDecrementDesiredCapacity=perhaps",
		"Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=tag:a&Filter.1.Value.1=**?*&MaxResults=5&NextToken=MHw",
		"Action=CreateTags&Version=2016-11-15&ResourceId.1=i-00000000&Tag.1.Key=a",
		"Action=GetCallerIdentity&Version=2011-06-15",
		"Action=PutLifecycleHook&AutoScalingGroupName=g&LifecycleHookName=h&HeartbeatTimeout=1e9",
		"%", "Action=<", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s := New(Config{})
		s.groups = []*group{{name: "g", min: 0, max: 3, zones: []string{"eu-central-1a"}, template: template{configuration: "c"}}}
		s.reconcile(s.groups[0])
		for _, path := range []string{"/", "/?Version=2016-11-15", "/clusters/" + strings.Repeat("x", len(body)%7)} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=k/20240101/eu-central-1/x/aws4_request, Signature=0")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/xml") {
				continue
			}
			for dec := xml.NewDecoder(bytes.NewReader(w.Body.Bytes())); ; {
				if _, err := dec.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%q: %v in %s", body, err, w.Body)
				}
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add("", 3, 10)
	f.Add("Mnxi", 1, 3)
	f.Add("OTl8eg", 5, 2)
	f.Fuzz(func(t *testing.T, token string, size, n int) {
		if size < 1 || size > 100 || n < 0 || n > 100 {
			return
		}
		all := make([]string, n)
		for i := range all {
			all[i] = itoa(i)
		}
		key := func(s string) string { return s }
		part, next, ok := page(all, key, token, size)
		if !ok {
			return
		}
		got := slices.Clone(part)
		for next != "" {
			if part, next, ok = page(all, key, next, size); !ok || len(part) == 0 {
				t.Fatalf("page after %v is %v, %v", got, part, ok)
			}
			got = append(got, part...)
		}
		if token == "" && !slices.Equal(got, all) {
			t.Fatalf("pages give %v, want %v", got, all)
		}
	})
}
