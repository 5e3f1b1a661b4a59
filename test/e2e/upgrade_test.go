package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	oldImage = "ami-0123456789abcdef1"
	newImage = "ami-0123456789abcdef2"
)

// An upgrade as docs/upgrade.md has it, by its own commands: of eight nodes in three zones four are of the old version, and a
// quarter of the group is recycled at a time.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	const page = "upgrade.md"
	began := time.Now()
	s, old := givenUpgrade(t)

	for what, listed := range map[string]string{
		"the table":   s.paste(page, "bin/step select --asg workers --drifted --kubelet-older-than-control-plane --output table"),
		"the dry run": s.paste(page, "recycle-fleet -p asg=workers -p drifted=true -p dry-run=true"),
	} {
		for _, id := range s.ids {
			if strings.Contains(listed, id) != slices.Contains(old, id) {
				t.Errorf("%s lists instance %s: %t\n%s", what, id, !slices.Contains(old, id), listed)
			}
		}
	}
	if acts := s.actions(); len(acts) > 0 {
		t.Errorf("calls that change something before the first recycle: %v", acts)
	}

	s.paste(page, "--name upgrade-first")
	first := recycle{s, s.group + "-first"}
	first.ends(wfv1.WorkflowSucceeded)
	s.replaced(old[0])

	s.paste(page, "--name upgrade-1")
	night := recycle{s, s.group + "-1"}
	s.await(2*time.Minute, "two nodes in progress", func(ctx) (bool, string, error) {
		leaving := s.paste(page, "-l eks-recycle.io/leaving")
		n := 0
		for _, id := range old[1:] {
			n += strings.Count(leaving, s.nodes[id])
		}
		return n == 2, leaving, nil
	})
	if listed := s.paste(page, "argo list"); !strings.Contains(listed, "recycle-"+old[0]) {
		t.Errorf("argo list does not show the recycle of %s:\n%s", old[0], listed)
	}
	log := s.paste(page, "argo logs")
	night.ends(wfv1.WorkflowSucceeded)
	if want := "3 node(s) recycled, 0 skipped, 0 failed"; !strings.Contains(log, want) || night.message("run") != want || night.message("finish") != want {
		t.Errorf("the fleet says %q and %q, want %q; its log:\n%s", night.message("run"), night.message("finish"), want, log)
	}

	s.paste(page, "--name upgrade-2")
	again := recycle{s, s.group + "-2"}
	again.ends(wfv1.WorkflowSucceeded)
	again.says("run", "0 node(s) recycled")
	s.replaced(old...)
	s.aQuarterAtATime(night, old)
	if images := s.images(); len(images) != len(old) || slices.ContainsFunc(images, func(image string) bool { return image != newImage }) {
		t.Errorf("the images of the newcomers are %v, want %d of %s", images, len(old), newImage)
	}

	if left := s.paste(page, "prints only the header"); strings.Count(left, "\n") != 1 {
		t.Errorf("nodes are left:\n%s", left)
	}
	if nodes := s.paste(page, "custom-columns"); !strings.Contains(nodes, "KUBELET") {
		t.Errorf("the kubelets' versions:\n%s", nodes)
	}
	swept := s.onlySweeper()
	s.paste(page, "workflowtemplate/recycle-sweep")
	swept()
	s.paste(page, "workflowtemplate/recycle-reap")
	for _, c := range commands(s, page) {
		if !s.pasted[c] && !strings.Contains(c, "i-0123456789abcdef0") {
			t.Errorf("the page has a command that nobody tried: %s", c)
		}
	}
	s.tellOf(night, began)
}

// givenUpgrade makes the group, and gives its old instances in the order in which they are to go.
func givenUpgrade(t *testing.T) (s *scenario, old []string) {
	t.Helper()
	const name = "upgrade"
	made, err := shared.ec2.CreateLaunchTemplate(t.Context(), &ec2.CreateLaunchTemplateInput{
		LaunchTemplateName: aws.String("e2e-" + name), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String(oldImage)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s = begin(t, name, 4, "1")
	s.template = *made.LaunchTemplate.LaunchTemplateId
	s.awaitNodes()
	old = s.ids
	_, err = s.ec2.CreateLaunchTemplateVersion(t.Context(), &ec2.CreateLaunchTemplateVersionInput{
		LaunchTemplateName: &s.group, SourceVersion: aws.String("1"), LaunchTemplateData: &ec2types.RequestLaunchTemplateData{ImageId: aws.String(newImage)},
	})
	s.must(err)
	s.size = 8
	_, err = s.groups.UpdateAutoScalingGroup(t.Context(), &autoscaling.UpdateAutoScalingGroupInput{
		AutoScalingGroupName: &s.group, DesiredCapacity: &s.size, MaxSize: &s.size,
		LaunchTemplate: &astypes.LaunchTemplateSpecification{LaunchTemplateName: &s.group, Version: aws.String("2")},
	})
	s.must(err)
	s.awaitNodes()
	kubelet := []byte(`{"status":{"nodeInfo":{"kubeletVersion":"v1.35.9-eks-1de2ab1"}}}`)
	for i, id := range old {
		s.launchedAgo(id, time.Duration(40-3*i)*24*time.Hour)
		_, err := s.kube.CoreV1().Nodes().Patch(t.Context(), s.nodes[id], types.StrategicMergePatchType, kubelet, metav1.PatchOptions{}, "status")
		s.must(err)
	}
	return s, old
}

// aQuarterAtATime checks the budget of a fleet by what Argo and by what AWS saw.
func (s *scenario) aQuarterAtATime(f recycle, ids []string) {
	s.Helper()
	var runs spans
	for _, c := range f.children() {
		if c.phase != wfv1.WorkflowSucceeded || !slices.Contains(ids, c.instance) {
			s.Errorf("the recycle of %s is %s", c.instance, c.phase)
		}
		runs = append(runs, [2]time.Time{c.began, c.ended})
	}
	away, least := s.away()
	quarter := int(s.size) / 4
	if runs.peak() != quarter || away.peak() > quarter || least < int(s.size)-quarter {
		s.Errorf("at once: %d recycles by Argo, %d instances by AWS, want %d; at least %d of %d were in service", runs.peak(), away.peak(), quarter, least, s.size)
	}
}

func (s *scenario) tellOf(f recycle, began time.Time) {
	s.Helper()
	var lengths []time.Duration
	pods := f.pods()
	for _, c := range f.children() {
		pods += c.pods
		lengths = append(lengths, c.ended.Sub(c.began))
	}
	slices.Sort(lengths)
	status := f.get().Status
	s.Logf("a fleet of %d: %s, its recycles %s to %s, %d pods; %d AWS calls and %s in all", len(lengths), status.FinishedAt.Sub(status.StartedAt.Time),
		fmt.Sprint(lengths[0]), fmt.Sprint(lengths[len(lengths)-1]), pods, len(s.ours(true)), time.Since(began).Round(time.Second))
}
