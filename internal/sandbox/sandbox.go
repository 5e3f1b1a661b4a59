// Package sandbox brings up a real Kubernetes cluster with Argo Workflows on one bare Linux machine, without a container
// registry or a release download: programs built from source, one real node (kubelet and containerd) on which the
// recycle's pods run, worker nodes played by kwok, and AWS played by awssim. Tests and the demo run the unmodified step
// image on it. It can also add its AWS and worker nodes to a cluster that exists already.
//
// One sandbox runs on a machine at a time, in plain processes that outlive the command that started them. Nothing
// restarts a process that dies: `status` shows it. What a run changes on the machine, Down takes back, also after a crash.
//
// It is for trying and testing: one certificate authority for everything, and awssim's AWS takes any credentials.
package sandbox

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

// Options say which sandbox is meant. The zero value is the one of the checkout around the working directory.
type Options struct {
	// Root is the checkout; default: the one around the working directory.
	Root string
	// State is the folder for binaries, keys and logs; default: .sandbox in the checkout.
	State string
	// Release names the versions that the cluster is made of; default: the current ones.
	Release string
	// Kubeconfig names an existing cluster to use instead of a cluster of the sandbox's own.
	Kubeconfig string
	// AWSAddress is the host:port at which the pods of that existing cluster reach this machine.
	AWSAddress string
	// Events adds Argo Events and what starts recycles by events. A sandbox that has them keeps them until it ends.
	Events bool
	// Progress is told what happens. It may be nil.
	Progress func(progress.Line)
}

// Cluster is a sandbox that is up.
type Cluster struct {
	// Kubeconfig is the path of an administrator's kubeconfig.
	Kubeconfig string `json:"kubeconfig"`
	// AWSEndpoint is the AWS endpoint for this machine, and awssim's control API under /_sim/.
	AWSEndpoint string `json:"awsEndpoint"`
	// AWSEndpointInPods is the same for pods.
	AWSEndpointInPods string `json:"awsEndpointInPods"`
	// Region, ClusterName and Group are the AWS names of what the sandbox holds.
	Region      string `json:"region"`
	ClusterName string `json:"clusterName"`
	Group       string `json:"group"`
	// Namespace is where recycle workflows run.
	Namespace string `json:"namespace"`
	// Kubectl and Argo are command line programs of the cluster's versions; Step is the step image's program.
	Kubectl string `json:"kubectl"`
	Argo    string `json:"argo"`
	Step    string `json:"step"`
	// Logs is the folder of the processes' logs.
	Logs string `json:"logs"`
	// AuditLog is the API server's, of the service accounts of the recycles; empty for an existing cluster.
	AuditLog string `json:"auditLog,omitempty"`
	// Existing tells that the cluster is not the sandbox's own.
	Existing bool `json:"existing"`
	// Events tells that events start recycles.
	Events bool `json:"events"`
	// Started is when it came up.
	Started time.Time `json:"started"`
	// Fingerprint and StepDigest tell of which programs and which step it was made.
	Fingerprint string `json:"fingerprint"`
	StepDigest  string `json:"stepDigest"`

	layout layout
}

// Names of what awssim holds.
const (
	region      = "eu-central-1"
	account     = "000000000000"
	clusterName = "sandbox"
	groupName   = "workers"
	accessKey   = "sandbox"
	secretKey   = "sandbox"
)

// Up brings the sandbox up, or finds it up: then it only brings the step image and the workflows up to date. If it
// fails or ctx ends on the way, what was started is stopped again; the logs stay.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	s, unlock, err := open(o)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return s.up(ctx, o)
}

// Down stops the sandbox and takes back what it changed on the machine. It is no error if none is up.
func Down(ctx context.Context, o Options) error {
	s, unlock, err := open(o)
	if err != nil {
		return err
	}
	defer unlock()
	return s.down(ctx)
}

// Open returns the sandbox that is up.
func Open(o Options) (*Cluster, error) {
	l, err := newLayout(o)
	if err != nil {
		return nil, err
	}
	return readCluster(l)
}

// RESTConfig is how to talk to the cluster as its administrator.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading kubeconfig %q: %w", c.Kubeconfig, err)
	}
	return config, nil
}

// Down stops this sandbox.
func (c *Cluster) Down(ctx context.Context) error {
	return Down(ctx, Options{Root: c.layout.root, State: c.layout.state})
}

// sandbox is one sandbox while a command works on it.
type sandbox struct {
	layout   layout
	progress func(progress.Line)
	// died is told of a process that ends; while the sandbox comes up, that ends the attempt.
	died func(error)
}

func (s sandbox) say(format string, args ...any) {
	s.progress(progress.Line{Text: fmt.Sprintf(format, args...)})
}

func (s sandbox) passing(text string) { s.progress(progress.Line{Text: text, Passing: true}) }
