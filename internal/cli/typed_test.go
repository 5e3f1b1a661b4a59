package cli_test

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"

	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/drain"
)

// typed is what a step asks for, of a whole clientset.
func typed(kube kubernetes.Interface) *cli.Kube {
	return &cli.Kube{
		Nodes: kube.CoreV1().Nodes(), Events: kube.CoreV1().Events(metav1.NamespaceDefault),
		Pods:        func(namespace string) drain.API { return kube.CoreV1().Pods(namespace) },
		Budgets:     func(namespace string) drain.BudgetAPI { return kube.PolicyV1().PodDisruptionBudgets(namespace) },
		Claims:      func(namespace string) drain.ClaimAPI { return kube.CoreV1().PersistentVolumeClaims(namespace) },
		Attachments: kube.StorageV1().VolumeAttachments(),
		Leases:      func(namespace string) claim.API { return kube.CoordinationV1().Leases(namespace) },
		Version:     func(context.Context) (*version.Info, error) { return kube.Discovery().ServerVersion() },
	}
}
