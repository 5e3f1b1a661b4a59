package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/image"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

const (
	eventsNamespace  = "argo-events"
	eventsController = "controller-manager"
)

func eventsImage(l layout) string { return "quay.io/argoproj/argo-events:" + l.release.Events }

// addEvents makes a sandbox that is up listen to events: the real controller of Argo Events renders the pods of the event
// sources and sensors, which speak to a NATS server and to awssim's SQS. It does no harm where they are there already.
func (s sandbox) addEvents(ctx context.Context, c *Cluster, upstream string) error {
	began := time.Now()
	k, err := connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	if err := s.ensureNATS(ctx); err != nil {
		return err
	}
	if !c.Events {
		r, err := findRuntime(s.layout)
		if err != nil {
			return err
		}
		program := programImage(eventsImage(s.layout), s.layout.program("argo-events"), "/bin/argo-events", "9731")
		if err := s.importImages(ctx, r, []image.Image{program}); err != nil {
			return err
		}
	}
	objects, err := renderUpstream(upstream, "events")
	if err != nil {
		return err
	}
	if err := k.apply(ctx, "sandbox-events", objects); err != nil {
		return fmt.Errorf("installing Argo Events: %w", err)
	}
	// What users apply to AWS, but that a message which cannot be taken is a dead letter sooner: it is hidden for two minutes each time.
	stack := filepath.Join(s.layout.root, "workflows", "components", "events", "aws", "events.yaml")
	if _, err := ApplyStack(ctx, c.AWSEndpoint, "eks-recycle-events", stack, map[string]string{"MaxReceiveCount": "3", "AlarmTopicArn": "arn:aws:sns:" + region + ":" + account + ":alarms"}); err != nil {
		return err
	}
	c.Events = true
	if err := s.installWorkflows(ctx, k, c); err != nil {
		return err
	}
	if err := s.awaitEvents(ctx, k); err != nil {
		return err
	}
	s.say("events start recycles, %s later", time.Since(began).Round(time.Second))
	return c.write()
}

func (s sandbox) ensureNATS(ctx context.Context) error {
	set := s.layout.processes()
	records, err := set.List()
	if err != nil {
		return err
	}
	n := nats(s.layout)
	if slices.ContainsFunc(records, func(r proc.Record) bool { return r.Name == n.Name && r.Alive() }) {
		return nil
	}
	listening := []string{hostPort(address, portNATS), hostPort(loopback, portNATSMonitor)}
	if err := awaitPorts(ctx, 10*time.Second, listening); err != nil {
		return err
	}
	return s.run(ctx, set, n)
}

// awaitEvents waits until every trigger has subscribed: the bus keeps for a trigger what comes after its first
// subscription, and nothing from before.
func (s sandbox) awaitEvents(ctx context.Context, k kube) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := k.awaitDeployment(ctx, eventsNamespace, eventsController); err != nil {
		return err
	}
	s.say("Argo Events is ready")
	objects, err := s.renderWorkflows("sandbox-events")
	if err != nil {
		return err
	}
	want := triggers(objects)
	err = quickly().Until(ctx, func(ctx context.Context) (bool, string, error) {
		have, err := subscriptions(ctx)
		if err != nil {
			return false, err.Error(), nil
		}
		return have >= want, fmt.Sprintf("%d of %d; %s", have, want, k.whyPodsWait(ctx, recycleNamespace)), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the sensors' subscriptions: %w", err)
	}
	return nil
}

// triggers counts those of all sensors.
func triggers(objects []*unstructured.Unstructured) int {
	n := 0
	for _, o := range objects {
		if o.GetKind() != "Sensor" {
			continue
		}
		found, _, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "triggers")
		if list, ok := found.([]any); err == nil && ok {
			n += len(list)
		}
	}
	return n
}

// subscriptions asks the NATS server how many consumers its streams have: each trigger has a durable one.
func subscriptions(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, natsMonitor("jsz"), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var status struct {
		Consumers int `json:"consumers"`
	}
	if err := json.NewDecoder(response.Body).Decode(&status); err != nil {
		return 0, fmt.Errorf("reading the status of JetStream: %w", err)
	}
	return status.Consumers, nil
}
