package sandbox

import (
	"strconv"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// etcd keeps nothing that outlives a run, so it need not wait for the disk.
func etcd(l layout) component {
	client := "https://" + hostPort(loopback, portEtcd)
	peer := "http://" + hostPort(loopback, portEtcdPeer)
	return component{
		Process: proc.Process{Name: "etcd", Path: l.program("etcd"), Args: []string{
			"--name=sandbox",
			"--data-dir=" + l.run("etcd"),
			"--unsafe-no-fsync",
			"--listen-client-urls=" + client,
			"--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer,
			"--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=sandbox=" + peer,
			"--client-cert-auth",
			"--trusted-ca-file=" + l.certificate("ca"),
			"--cert-file=" + l.certificate("etcd"),
			"--key-file=" + l.key("etcd"),
			"--log-level=warn",
		}},
		ready: httpReady(client+"/health", l.withClientCertificate("etcd-client")),
	}
}

// apiserver serves on the sandbox's own address only, and asks the AWS simulator about tokens that are not its own:
// those are EKS tokens.
func apiserver(l layout) component {
	return component{
		Process: proc.Process{Name: "kube-apiserver", Path: l.program("kube-apiserver"), Args: []string{
			"--bind-address=" + address,
			"--advertise-address=" + address,
			"--secure-port=" + strconv.Itoa(portAPI),
			"--service-cluster-ip-range=" + serviceCIDR,
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--client-ca-file=" + l.certificate("ca"),
			"--tls-cert-file=" + l.certificate("apiserver"),
			"--tls-private-key-file=" + l.key("apiserver"),
			"--etcd-servers=https://" + hostPort(loopback, portEtcd),
			"--etcd-cafile=" + l.certificate("ca"),
			"--etcd-certfile=" + l.certificate("etcd-client"),
			"--etcd-keyfile=" + l.key("etcd-client"),
			"--kubelet-certificate-authority=" + l.certificate("ca"),
			"--kubelet-client-certificate=" + l.certificate("apiserver-kubelet"),
			"--kubelet-client-key=" + l.key("apiserver-kubelet"),
			"--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + l.certificate("service-accounts"),
			"--service-account-signing-key-file=" + l.key("service-accounts"),
			"--authentication-token-webhook-config-file=" + l.kubeconfig("token-webhook"),
			"--authentication-token-webhook-version=v1",
			"--authentication-token-webhook-cache-ttl=10s",
			"--audit-policy-file=" + l.run("audit-policy.yaml"),
			"--audit-log-path=" + l.auditLog(),
			"--profiling=false",
		}},
		files: map[string]string{l.kubeconfig("token-webhook"): tokenWebhook(), l.run("audit-policy.yaml"): auditPolicy()},
		ready: apiReady(l.kubeconfig("admin")),
	}
}

// auditPolicy records what the service accounts of the recycles ask for, so that tests can tell what they need.
func auditPolicy() string {
	return yamlText(map[string]any{
		"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": []any{"RequestReceived"},
		"rules": []any{map[string]any{"level": "Metadata", "userGroups": []any{"system:serviceaccounts:" + recycleNamespace}}},
	})
}

// tokenWebhook has the form of a kubeconfig, in which "cluster" stands for the webhook.
func tokenWebhook() string {
	return yamlText(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "webhook",
		"clusters": []any{map[string]any{"name": "awssim", "cluster": map[string]any{
			"server": "http://" + hostPort(loopback, portAWS) + "/_sim/tokenreview",
		}}},
		"users":    []any{map[string]any{"name": "apiserver", "user": map[string]any{}}},
		"contexts": []any{map[string]any{"name": "webhook", "context": map[string]any{"cluster": "awssim", "user": "apiserver"}}},
	})
}
