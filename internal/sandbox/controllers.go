package sandbox

import (
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

func controllerManager(l layout) component {
	kubeconfig := l.kubeconfig("controller-manager")
	return component{
		Process: proc.Process{Name: "kube-controller-manager", Path: l.program("kube-controller-manager"), Args: []string{
			"--bind-address=" + loopback,
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--leader-elect=false",
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
			"--leader-elect=false",
			"--profiling=false",
		}},
		ready: httpReady("https://"+hostPort(loopback, portScheduler)+"/healthz", selfSigned()),
	}
}
