package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// What people write on a Node for a selection to read.
const (
	// AnnotationSkip keeps a Node from being selected; "false" counts as absent.
	AnnotationSkip = "eks-recycle.io/skip"
	// AnnotationRecycle with the value "requested" asks for a Node to be selected.
	AnnotationRecycle = "eks-recycle.io/recycle"
)

// Condition is a condition of a Node and a status of it.
type Condition struct {
	Type   corev1.NodeConditionType
	Status corev1.ConditionStatus
}

func (c Condition) String() string { return string(c.Type) + "=" + string(c.Status) }

// ParseCondition reads TYPE, which means TYPE=True, or TYPE=STATUS.
func ParseCondition(text string) (Condition, error) {
	kind, status, given := strings.Cut(text, "=")
	if !given {
		status = string(corev1.ConditionTrue)
	}
	if kind == "" || !slices.Contains([]string{"True", "False", "Unknown"}, status) {
		return Condition{}, hint.Errorf("for example MemoryPressure, or Ready=Unknown", "condition %q is malformed: it is TYPE, or TYPE=STATUS with the status True, False or Unknown", text)
	}
	return Condition{corev1.NodeConditionType(kind), corev1.ConditionStatus(status)}, nil
}

// Info is what a selection keeps of a Node: some hundred bytes of some twenty thousand.
type Info struct {
	Name, InstanceID string
	Kubelet          string // its version
	Karpenter        bool
	Skip, Requested  bool
	Leaving          bool
	Conditions       []Condition // that hold, of those asked for
}

// Infos reads the Nodes that a label selector matches; an empty one matches all.
func (c *Client) Infos(ctx context.Context, selector string, conditions []Condition) (infos []Info, err error) {
	if err := c.each(ctx, selector, func(n *corev1.Node) { infos = append(infos, InfoOf(n, conditions)) }); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	return infos, nil
}

// InfoOf is what a selection reads of one Node.
func InfoOf(n *corev1.Node, conditions []Condition) Info {
	skip, marked := n.Annotations[AnnotationSkip]
	f := Info{
		Name: n.Name, InstanceID: InstanceID(n.Spec.ProviderID), Kubelet: n.Status.NodeInfo.KubeletVersion, Karpenter: KarpenterPool(n) != "",
		Skip: marked && skip != "false", Requested: n.Annotations[AnnotationRecycle] == "requested", Leaving: IsLeaving(n),
	}
	for _, want := range conditions {
		for _, has := range n.Status.Conditions {
			if has.Type == want.Type && has.Status == want.Status {
				f.Conditions = append(f.Conditions, want)
			}
		}
	}
	return f
}

// ControlPlane returns the version of the API server.
func (c *Client) ControlPlane(ctx context.Context) (string, error) {
	info, err := c.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the version of the control plane: %w", err)
	}
	return info.GitVersion, nil
}

// Older reports whether a kubelet is of an older minor version than the control plane. Patch versions do not count: EKS
// raises the control plane's by itself, often before there is an AMI with the same one. Versions that cannot be read are
// not older.
func Older(kubelet, controlPlane string) bool {
	k, err := version.ParseGeneric(kubelet)
	if err != nil {
		return false
	}
	c, err := version.ParseGeneric(controlPlane)
	if err != nil {
		return false
	}
	return k.Major() < c.Major() || (k.Major() == c.Major() && k.Minor() < c.Minor())
}

// Release is a version without what a distribution adds to it: "v1.33.1-eks-1de2ab1" is v1.33.1.
func Release(text string) string {
	text, _, _ = strings.Cut(text, "-")
	text, _, _ = strings.Cut(text, "+")
	return text
}
