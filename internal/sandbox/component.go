package sandbox

import (
	"net"
	"strconv"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// Fixed addresses. The API server and the AWS simulator listen on one address that is added to the loopback interface:
// pods reach it through their bridge, people on the machine directly, and nobody else at all. It is also the first
// address of the services' range, which clients in pods are given, so that no kube-proxy is needed.
const (
	address     = "10.96.0.1"
	serviceCIDR = "10.96.0.0/16"
	podCIDR     = "10.244.77.0/24"
	fakePodCIDR = "10.245.0.1/16"
	bridge      = "eks-recycle0"
	loopback    = "127.0.0.1"
)

const (
	portAPI           = 443
	portAWS           = 4566
	portEtcd          = 12379
	portEtcdPeer      = 12380
	portControllers   = 10257
	portScheduler     = 10259
	portKubelet       = 10250
	portKubeletHealth = 10248
	portKwok          = 10247
	portNATS          = 14222
	portNATSMonitor   = 18222
)

// Names in the cluster. The manifests and the sandbox's overlay of the workflows know those of the control node.
const (
	controlNode      = "sandbox-control"
	controlTaint     = "sandbox.eks-recycle.io/control"
	controlLabel     = "sandbox.eks-recycle.io/control"
	argoNamespace    = "argo"
	recycleNamespace = "eks-recycle"
	stepImage        = "ghcr.io/eks-recycle/step:sandbox"
	pauseImage       = "sandbox.eks-recycle.io/pause:sandbox"
	cniNetwork       = "eks-recycle-sandbox"
)

// containerdNames is the namespace in which containerd keeps what Kubernetes runs.
const containerdNames = "k8s.io"

// Annotations by which a pod on a worker node tells kwok what its containers would do.
const (
	// AnnotationRunFor is how long a pod runs before it succeeds, such as "1m30s"; without it, it runs on.
	AnnotationRunFor = "sandbox.eks-recycle.io/run-for"
	// AnnotationStopsIn is how long a pod takes to stop when it is deleted; 2s without it, its grace period at most.
	AnnotationStopsIn = "sandbox.eks-recycle.io/stops-in"
)

// component is a program of the sandbox: what is run, the files that it reads, and how to tell that it works. It is
// made by a pure function of the layout; starting it is the supervisor's part.
type component struct {
	proc.Process
	files map[string]string
	ready proc.Check
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func apiURL() string { return "https://" + hostPort(address, portAPI) }
func awsURL() string { return "http://" + hostPort(address, portAWS) }
