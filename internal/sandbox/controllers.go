package sandbox

import (
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// controllerManager is allowed more calls a second than by default: it makes a client for each of its controllers first.
func controllerManager(l layout) component {
	kubeconfig := l.kubeconfig("controller-manager")
	return component{
		Process: proc.Process{Name: "kube-controller-manager", Path: l.program("kube-controller-manager"), Args: []string{
			"--bind-address=" + loopback,
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--authentication-skip-lookup",
			"--leader-elect=false",
			"--kube-api-qps=200",
			"--kube-api-burst=400",
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + l.key("service-accounts"),
			"--root-ca-file=" + l.certificate("ca"),
			"--profiling=false",
		}},
		ready: httpReady("https://"+hostPort(loopback, portControllers)+"/healthz", selfSigned()),
	}
}

func scheduler(l layout) component {
	kubeconfig := l.kubeconfig("scheduler")
	return component{
		Process: proc.Process{Name: "kube-scheduler", Path: l.program("kube-scheduler"), Args: []string{
			"--bind-address=" + loopback,
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--authentication-skip-lookup",
			"--leader-elect=false",
			"--profiling=false",
		}},
		ready: httpReady("https://"+hostPort(loopback, portScheduler)+"/healthz", selfSigned()),
	}
}
