package awssim

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// shutdownTaint is what the cloud controller puts on the Node of a stopped instance.
const shutdownTaint = "node.cloudprovider.kubernetes.io/shutdown"

// What kwok knows its Nodes by.
const (
	kwokAnnotation = "kwok.x-k8s.io/node"
	kwokLabel      = "type"
)

const labelTemplate = "k8s.io/cluster-autoscaler/node-template/label/"

// nodeLabelsOf are the labels that nodes of a group carry by its bootstrap.
func nodeLabelsOf(g *group) map[string]string {
	labels := map[string]string{"alpha.eksctl.io/nodegroup-name": g.name}
	for _, tag := range g.tags {
		if key, ok := strings.CutPrefix(tag.key, labelTemplate); ok {
			labels[key] = tag.value
		}
		if tag.key == "eks:nodegroup-name" {
			labels["eks.amazonaws.com/nodegroup"] = tag.value
		}
	}
	return labels
}

// joinNode is the kubelet's registration.
func (s *Sim) joinNode(inst *instance) {
	if s.nodes == nil {
		return
	}
	s.record(inst.origin, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "joined"})
	s.nodes.add(task{"joining", inst.nodeName, joinTask(s.registration(inst))})
	s.awaitReady(inst)
}

// registration is the Node that a kubelet creates, each time another object.
func (s *Sim) registration(inst *instance) *corev1.Node {
	inst.nodeStep++
	node := s.newNode(inst, !s.configOf(inst.home).NodeNeverReady && !s.cfg.MarkNodesReady)
	// An API server gives a UID of its own; client-go's fake keeps this one.
	digits := hexSHA256(inst.id + "/" + itoa(inst.nodeStep))
	node.UID = types.UID(digits[:8] + "-" + digits[8:12] + "-4" + digits[13:16] + "-a" + digits[17:20] + "-" + digits[20:32])
	return node
}

// awaitReady has a Node that joined become Ready and, where the settings say
// so, leave again.
func (s *Sim) awaitReady(inst *instance) {
	if s.configOf(inst.home).NodeNeverReady {
		return
	}
	if !s.cfg.MarkNodesReady {
		s.leaveLater(inst)
		return
	}
	s.afterNode(inst, s.configOf(inst.home).NodeReady, func() {
		s.nodes.add(task{"marking ready", inst.nodeName, readyTask(inst.nodeName, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status")})
		s.leaveLater(inst)
	})
}

// taintNode is the cloud controller's part when an instance has stopped.
func (s *Sim) taintNode(inst *instance) {
	if s.nodes == nil {
		return
	}
	s.record(inst.origin, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "shut down"})
	s.nodes.add(task{"tainting", inst.nodeName, taintTask(inst.nodeName, true)})
	if s.cfg.MarkNodesReady {
		s.nodes.add(task{"marking unknown", inst.nodeName, readyTask(inst.nodeName, corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.")})
	}
}

func (s *Sim) untaintNode(inst *instance) {
	if s.nodes != nil {
		s.nodes.add(task{"untainting", inst.nodeName, taintTask(inst.nodeName, false)})
	}
}

// deleteNode is the cloud controller's part when an instance is terminated.
func (s *Sim) deleteNode(inst *instance) {
	if s.nodes == nil {
		return
	}
	s.record(inst.origin, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "deleted"})
	s.nodes.add(task{"deleting", inst.nodeName, deleteTask(inst.nodeName, providerID(inst))})
}

func providerID(inst *instance) string { return "aws:///" + inst.zone + "/" + inst.id }

// newNode is the Node of an instance. kwok takes care only of nodes that carry
// its annotation and label, and makes them Ready at once; one that is not to
// be Ready goes without.
func (s *Sim) newNode(inst *instance, kwok bool) *corev1.Node {
	labels := map[string]string{
		corev1.LabelHostname:           inst.nodeName,
		corev1.LabelArchStable:         "amd64",
		corev1.LabelOSStable:           "linux",
		corev1.LabelTopologyZone:       inst.zone,
		corev1.LabelTopologyRegion:     s.cfg.Region,
		corev1.LabelInstanceTypeStable: inst.kind,
	}
	maps.Copy(labels, inst.nodeLabels)
	annotations := map[string]string{"alpha.kubernetes.io/provided-node-ip": inst.address}
	if kwok || s.cfg.MarkNodesReady {
		annotations[kwokAnnotation] = "fake"
		labels[kwokLabel] = "kwok"
	}
	size := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("4"),
		corev1.ResourceMemory:           resource.MustParse("16Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("80Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: inst.nodeName, Labels: labels, Annotations: annotations},
		Spec:       corev1.NodeSpec{ProviderID: providerID(inst)},
		Status: corev1.NodeStatus{
			Capacity: size, Allocatable: size,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: inst.address},
				{Type: corev1.NodeInternalDNS, Address: s.privateDNSName(inst)},
				{Type: corev1.NodeHostName, Address: s.privateDNSName(inst)},
			},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: "amd64", OperatingSystem: "linux", KubeletVersion: "v" + s.cfg.ClusterVersion + ".4",
				OSImage: "Amazon Linux 2023", KernelVersion: "6.1.0", ContainerRuntimeVersion: "containerd://1.7.27", SystemUUID: inst.id,
			},
		},
	}
	if !kwok {
		setReady(&node.Status, corev1.ConditionFalse, "KubeletNotReady", "container runtime network not ready")
	}
	return node
}

func setReady(status *corev1.NodeStatus, value corev1.ConditionStatus, reason, message string) {
	now := metav1.Now()
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: value, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
	for i, c := range status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status == value {
				ready.LastTransitionTime = c.LastTransitionTime
			}
			status.Conditions[i] = ready
			return
		}
	}
	status.Conditions = append(status.Conditions, ready)
}
