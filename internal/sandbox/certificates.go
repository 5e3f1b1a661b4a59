package sandbox

import (
	"net"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/pki"
)

// subjects are all certificates of the cluster. Users and groups are those that Kubernetes' own roles name.
func subjects() []pki.Subject {
	local := []net.IP{net.ParseIP(loopback)}
	own := []net.IP{net.ParseIP(address)}
	return []pki.Subject{
		{File: "etcd", User: "etcd", Addresses: local},
		{File: "etcd-client", User: "kube-apiserver"},
		{File: "apiserver", User: "kube-apiserver", Addresses: append(own, local...), Names: []string{
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost",
		}},
		{File: "apiserver-kubelet", User: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}},
		{File: "kubelet-server", User: controlNode, Addresses: own, Names: []string{controlNode}},
		{File: "service-accounts", User: "service-accounts"},
		{File: "nats", User: "nats", Addresses: own},
	}
}

// clients are those with a kubeconfig, by the kubeconfig's name.
func clients() map[string]pki.Subject {
	masters := []string{"system:masters"}
	return map[string]pki.Subject{
		"admin":              {File: "admin", User: "sandbox-admin", Groups: masters},
		"controller-manager": {File: "controller-manager", User: "system:kube-controller-manager"},
		"scheduler":          {File: "scheduler", User: "system:kube-scheduler"},
		"kubelet":            {File: "kubelet-client", User: "system:node:" + controlNode, Groups: []string{"system:nodes"}},
		"kwok":               {File: "kwok", User: "kwok", Groups: masters},
		"awssim":             {File: "awssim", User: "awssim", Groups: masters},
	}
}

// writeCertificates makes a new authority: nothing of an earlier run is trusted.
func writeCertificates(l layout) error {
	authority, err := pki.NewAuthority(l.pki())
	if err != nil {
		return err
	}
	for _, s := range subjects() {
		if _, err := authority.Issue(s); err != nil {
			return err
		}
	}
	for name, s := range clients() {
		k := pki.Kubeconfig{Path: l.kubeconfig(name), Server: apiURL(), Namespace: "default", Context: "sandbox"}
		if err := authority.WriteKubeconfig(k, s); err != nil {
			return err
		}
	}
	return nil
}
