// Package demo recycles one node of a sandbox before the reader's eyes: it puts pods of several kinds on it, submits the
// workflow with the argo command line, tells what the workflow, the group, the node and the pods do while they do it, and
// states at the end which promises held. It only watches; whatever it says was read from the cluster and from awssim.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	wfclient "github.com/argoproj/argo-workflows/v3/pkg/client/clientset/versioned"
	"k8s.io/client-go/kubernetes"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
)

// atMost bounds the whole transcript; it takes about a minute and a half.
const atMost = 8 * time.Minute

// demo is one run.
type demo struct {
	cluster    *sandbox.Cluster
	kube       kubernetes.Interface
	workflows  wfclient.Interface
	aws        simulator
	transcript *transcript
	target     target
	workflow   string
	submitted  time.Time
	atStart    []string // members of the group

	lastCall, lastEvent int
	seen                observed
}

// target is the node that goes.
type target struct{ instance, node string }

// Run plays the demo on a sandbox that is up and writes the transcript to out. It fails if a promise did not hold.
func Run(ctx context.Context, c *sandbox.Cluster, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, errors.New("the demo took too long"))
	defer cancel()
	d, err := newDemo(c, out)
	if err != nil {
		return err
	}
	if err := d.pickTarget(ctx); err != nil {
		return err
	}
	d.transcript.title("Before")
	if err := d.deploy(ctx); err != nil {
		return err
	}
	defer d.tidy(context.WithoutCancel(ctx))
	before, err := d.aws.group(ctx, c.Group)
	if err != nil {
		return err
	}
	d.transcript.say("group", "%s: %d nodes in service, min %d, desired %d, max %d", c.Group, before.inService(), before.Min, before.Desired, before.Max)

	if err := d.startHere(ctx, before); err != nil {
		return err
	}
	d.transcript.title("The recycle")
	if err := d.submit(ctx); err != nil {
		return err
	}
	if err := d.follow(ctx); err != nil {
		return err
	}
	d.transcript.title("What held")
	return d.verdict(context.WithoutCancel(ctx), before)
}

func newDemo(c *sandbox.Cluster, out io.Writer) (*demo, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 200
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	workflows, err := wfclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &demo{cluster: c, kube: kube, workflows: workflows, aws: simulator{c.AWSEndpoint}, transcript: newTranscript(out)}, nil
}

// startHere leaves out what happened before the submit.
func (d *demo) startHere(ctx context.Context, before group) error {
	for _, m := range before.members {
		d.atStart = append(d.atStart, m.ID)
	}
	calls, err := d.aws.calls(ctx, 0)
	if err != nil {
		return err
	}
	events, err := d.aws.events(ctx, 0)
	if err != nil {
		return err
	}
	if len(calls) > 0 {
		d.lastCall = calls[len(calls)-1].Seq
	}
	if len(events) > 0 {
		d.lastEvent = events[len(events)-1].Seq
	}
	d.submitted = time.Now()
	return nil
}

// pickTarget chooses the group's first instance in service.
func (d *demo) pickTarget(ctx context.Context) error {
	g, err := d.aws.group(ctx, d.cluster.Group)
	if err != nil {
		return err
	}
	for _, i := range g.members {
		if i.LifecycleState == "InService" && i.NodeName != "" {
			d.target = target{i.ID, i.NodeName}
			return nil
		}
	}
	return fmt.Errorf("group %q has no node in service", d.cluster.Group)
}

// submit starts the workflow as a person would.
func (d *demo) submit(ctx context.Context) error {
	args := []string{"submit", "--from", "workflowtemplate/recycle-node", "-p", "instance-id=" + d.target.instance, "-o", "name"}
	d.transcript.say("you", "argo %s", strings.Join(args[:len(args)-2], " "))
	cmd := exec.CommandContext(ctx, d.cluster.Argo, args...)
	cmd.Env = d.cluster.Env("/usr/bin:/bin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("submitting the workflow: %w: %s", err, out)
	}
	d.workflow = strings.TrimSpace(string(out))
	return nil
}
