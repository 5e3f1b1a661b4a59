package awssim

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// afterNode runs do unless the instance or its Node changes before.
func (s *Sim) afterNode(inst *instance, d time.Duration, do func()) {
	step := inst.nodeStep
	s.afterInstance(inst, d, func() {
		if inst.nodeStep == step {
			do()
		}
	})
}

// leaveLater puts the end of a Ready Node on the agenda, if the settings have one.
func (s *Sim) leaveLater(inst *instance) {
	if s.cfg.NodeLeavesAfter > 0 {
		s.afterNode(inst, s.cfg.NodeLeavesAfter, func() { s.leaveNode(inst, s.cfg.NodeLeaves) })
	}
}

// leaveNode is a kubelet that reports no more, or a Node that somebody
// deleted; the instance knows nothing of it.
func (s *Sim) leaveNode(inst *instance, how string) {
	inst.nodeStep++
	outside := origin{cause: CauseOutside}
	if how == LeaveDeleted {
		s.record(outside, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "deleted"})
		s.nodes.add(task{"deleting", inst.nodeName, deleteTask(inst.nodeName, providerID(inst))})
		if s.cfg.NodeReturnsAfter > 0 {
			s.afterNode(inst, s.cfg.NodeReturnsAfter, func() { s.joinNode(inst) })
		}
		return
	}
	s.record(outside, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "not ready"})
	if !s.cfg.MarkNodesReady {
		s.nodes.add(task{"taking from kwok", inst.nodeName, kwokTask(inst.nodeName, false)})
	}
	s.nodes.add(task{"marking unknown", inst.nodeName, readyTask(inst.nodeName, corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.")})
	if s.cfg.NodeReturnsAfter > 0 {
		s.afterNode(inst, s.cfg.NodeReturnsAfter, func() { s.returnNode(inst) })
	}
}

func (s *Sim) returnNode(inst *instance) {
	inst.nodeStep++
	s.record(origin{cause: CauseOutside}, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "ready"})
	if !s.cfg.MarkNodesReady {
		s.nodes.add(task{"giving to kwok", inst.nodeName, kwokTask(inst.nodeName, true)})
	}
	s.nodes.add(task{"marking ready", inst.nodeName, readyTask(inst.nodeName, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status")})
	s.leaveLater(inst)
}

// running is the instance whose Node is to be acted on from outside.
func (s *Sim) running(id string) (*instance, error) {
	inst := s.instances[id]
	switch {
	case inst == nil:
		return nil, fmt.Errorf("finding the node of instance %q: it does not exist", id)
	case s.nodes == nil:
		return nil, fmt.Errorf("finding the node of instance %q: the simulator has no cluster", id)
	case inst.state != ec2Running || !inst.joins:
		return nil, fmt.Errorf("finding the node of instance %q: it is %s and joins: %v", id, inst.state, inst.joins)
	}
	return inst, nil
}

// LeaveNode makes the Node of a running instance leave now: it becomes
// NotReady (LeaveNotReady) or is deleted (LeaveDeleted); empty means as
// [Config.NodeLeaves] has it, which like NodeReturnsAfter is then in force.
func (s *Sim) LeaveNode(id, how string) error {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	inst, err := s.running(id)
	if err != nil {
		return err
	}
	switch how {
	case "":
		how = s.cfg.NodeLeaves
	case LeaveNotReady, LeaveDeleted:
	default:
		return fmt.Errorf("taking away the node of instance %q: %q is neither %s nor %s", id, how, LeaveNotReady, LeaveDeleted)
	}
	s.leaveNode(inst, how)
	return nil
}

// RejoinNode has somebody delete the Node of a running instance and its
// kubelet register anew: an object of the same name with another UID, without
// the taints, labels and annotations of the old one, Ready once more after
// [Config.NodeReady].
func (s *Sim) RejoinNode(id string) error {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	inst, err := s.running(id)
	if err != nil {
		return err
	}
	s.record(origin{cause: CauseOutside}, Event{Kind: KindNode, Instance: inst.id, Node: inst.nodeName, To: "rejoined"})
	s.nodes.add(task{"joining anew", inst.nodeName, rejoinTask(s.registration(inst))})
	s.awaitReady(inst)
	return nil
}
