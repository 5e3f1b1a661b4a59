package sandbox

import (
	_ "embed"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

//go:embed manifests/kwok.yaml
var kwokConfig string

// kwok plays the kubelets of the worker nodes.
func kwok(l layout, kubeconfig string) component {
	config := l.run("kwok.yaml")
	server := hostPort(loopback, portKwok)
	return component{
		Process: proc.Process{Name: "kwok", Path: l.program("kwok"), Args: []string{
			"--config=" + config,
			"--kubeconfig=" + kubeconfig,
			"--server-address=" + server,
			"--cidr=" + fakePodCIDR,
			"--node-ip=" + loopback,
		}},
		files: map[string]string{config: kwokConfig},
		ready: httpReady("http://"+server+"/healthz", plainHTTP()),
	}
}
