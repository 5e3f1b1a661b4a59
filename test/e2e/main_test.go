// Package e2e recycles nodes of the sandbox: the unmodified step image in real pods of a real Argo Workflows controller,
// with the permissions that ship, against AWS played by awssim. It says what is seen in awssim's call log and in the
// cluster. A sandbox that is up already is used and left up.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	wfclient "github.com/argoproj/argo-workflows/v3/pkg/client/clientset/versioned"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

// suite is what all scenarios share.
type suite struct {
	cluster   *sandbox.Cluster
	kube      kubernetes.Interface
	workflows wfclient.Interface
	groups    *autoscaling.Client
	ec2       *ec2.Client
	sqs       *sqs.Client
	policies  map[string]iampolicy.Policy // by service account
	eventsUp  func() error                // waits until events start recycles
	sweeping  *sync.Mutex                 // held by a scenario that sweeps, or relies on that no other one does
}

// shared is set by TestMain before any test runs and not changed after.
var shared *suite

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	options := sandboxOptions()
	_, notUp := sandbox.Open(options)
	started := time.Now()
	options.Progress = func(p progress.Line) {
		if !p.Passing {
			fmt.Printf("%5.1fs %s\n", time.Since(started).Seconds(), p.Text)
		}
	}
	cluster, err := sandbox.Up(ctx, options)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bringing the sandbox up:", err)
		return 1
	}
	code := 1
	if shared, err = newSuite(cluster); err != nil {
		fmt.Fprintln(os.Stderr, "connecting to the sandbox:", err)
	} else {
		go func() { _ = shared.eventsUp() }()
		code = m.Run()
		if code == 0 && flag.Lookup("test.run").Value.String() == "" {
			if err := shared.usedIsGranted(ctx); err != nil {
				fmt.Fprintln(os.Stderr, "--- FAIL: what the service accounts use is not what they are granted:\n"+err.Error())
				code = 1
			}
		}
	}
	if notUp != nil {
		if err := sandbox.Down(ctx, sandboxOptions()); err != nil {
			fmt.Fprintln(os.Stderr, "taking the sandbox down:", err)
			return 1
		}
	}
	return code
}

// sandboxOptions are the zero value, but for the release of which make compat runs a part of the suite.
func sandboxOptions() sandbox.Options {
	return sandbox.Options{Release: os.Getenv("SANDBOX_RELEASE")}
}

func newSuite(c *sandbox.Cluster) (*suite, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 100, 200
	s := &suite{cluster: c, sweeping: &sync.Mutex{}}
	binary := rest.CopyConfig(config)
	binary.AcceptContentTypes, binary.ContentType = runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON, runtime.ContentTypeProtobuf
	if s.kube, err = kubernetes.NewForConfig(binary); err != nil {
		return nil, err
	}
	if s.workflows, err = wfclient.NewForConfig(config); err != nil {
		return nil, err
	}
	cfg := aws.Config{Region: c.Region, BaseEndpoint: &c.AWSEndpoint, AppID: "e2e",
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		})}
	s.groups, s.ec2, s.sqs = autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	if s.policies, err = shippedPolicies(c.ClusterName); err != nil {
		return nil, err
	}
	s.eventsUp = sync.OnceValue(addEvents)
	// An event source hides a message that it cannot take for two minutes.
	return s, s.control(context.Background(), http.MethodPut, "config", map[string]string{"hiddenAtMost": "10s"}, nil)
}

// addEvents adds Argo Events to the sandbox, beside what runs already.
func addEvents() error {
	options := sandboxOptions()
	options.Events = true
	options.Progress = func(p progress.Line) {
		if !p.Passing {
			fmt.Println("      events:", p.Text)
		}
	}
	_, err := sandbox.Up(context.Background(), options)
	return err
}

// calls reads awssim's log from a sequence number on.
func (s *suite) calls(ctx context.Context, since int) ([]awssim.Call, error) {
	var calls []awssim.Call
	err := s.control(ctx, http.MethodGet, fmt.Sprintf("calls?since=%d", since), nil, &calls)
	return calls, err
}

// events reads what happened to groups, instances and Nodes from a sequence number on.
func (s *suite) events(ctx context.Context, since int) ([]awssim.Event, error) {
	var events []awssim.Event
	err := s.control(ctx, http.MethodGet, fmt.Sprintf("events?since=%d", since), nil, &events)
	return events, err
}

// control speaks to awssim's control API.
func (s *suite) control(ctx context.Context, method, path string, body, into any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.cluster.AWSEndpoint+"/_sim/"+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("awssim answers %s to %s %s", response.Status, method, path)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}
