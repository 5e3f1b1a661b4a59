package cli_test

import (
	"context"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// typed is what a step asks for, of a whole clientset.
func typed(kube kubernetes.Interface) cli.Kube {
	return cli.Kube{
		Nodes: kube.CoreV1().Nodes(), Events: func(ns string) node.EventAPI { return kube.CoreV1().Events(ns) },
		Pods:        func(namespace string) drain.API { return kube.CoreV1().Pods(namespace) },
		Budgets:     func(namespace string) drain.BudgetAPI { return kube.PolicyV1().PodDisruptionBudgets(namespace) },
		Claims:      func(namespace string) drain.ClaimAPI { return kube.CoreV1().PersistentVolumeClaims(namespace) },
		Attachments: kube.StorageV1().VolumeAttachments(),
		Leases:      kube.CoordinationV1().Leases("eks-recycle"),
		Version:     func(context.Context) (*version.Info, error) { return kube.Discovery().ServerVersion() },
	}
}
