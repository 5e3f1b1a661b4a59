package sandbox

import (
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// kubelet runs the one real node. It is tainted: only pods that the sandbox means to run for real come here, all
// others go to the worker nodes, which kwok plays.
func kubelet(l layout) component {
	config := l.run("kubelet.yaml")
	return component{
		Process: proc.Process{Name: "kubelet", Path: l.program("kubelet"), Args: []string{
			"--config=" + config,
			"--kubeconfig=" + l.kubeconfig("kubelet"),
			"--hostname-override=" + controlNode,
			"--node-ip=" + address,
			"--node-labels=" + controlLabel + "=true",
			"--root-dir=" + l.short("kubelet"),
			"--cert-dir=" + l.pki(),
		}},
		files: map[string]string{config: kubeletConfig(l)},
		ready: httpReady("http://"+hostPort(loopback, portKubeletHealth)+"/healthz", plainHTTP()),
	}
}

// kubeletConfig leaves the machine as it is: no cgroups for qualities of service, no reservations, no iptables, no
// eviction and no image collection, however full the disk is. Names are looked up where nobody answers, at once in vain:
// the pods are given addresses.
func kubeletConfig(l layout) string {
	return yamlText(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",

		"address":            address,
		"port":               portKubelet,
		"healthzBindAddress": loopback,
		"healthzPort":        portKubeletHealth,
		"tlsCertFile":        l.certificate("kubelet-server"),
		"tlsPrivateKeyFile":  l.key("kubelet-server"),
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": l.certificate("ca")},
		},
		"authorization": map[string]any{"mode": "Webhook"},

		"registerWithTaints": []any{map[string]any{"key": controlTaint, "effect": "NoSchedule"}},
		"clusterDomain":      "cluster.local",
		"clusterDNS":         []any{address},

		"containerRuntimeEndpoint": "unix://" + l.containerdSocket(),
		"podLogsDir":               l.run("logs", "pods"),
		"volumePluginDir":          l.run("volume-plugins"),

		"cgroupDriver":                  "cgroupfs",
		"cgroupsPerQOS":                 false,
		"enforceNodeAllocatable":        []any{},
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"localStorageCapacityIsolation": false,
		"makeIPTablesUtilChains":        false,
		"oomScoreAdj":                   0,
		"imageGCHighThresholdPercent":   100,
		"imageGCLowThresholdPercent":    99,
		"evictionHard": map[string]any{
			"memory.available": "1Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
		},
	})
}
