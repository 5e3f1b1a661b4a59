package awssim

import (
	"fmt"
	"time"
)

// lifecycleNotice is what a hook's own notification target gets: the fields of
// the event's detail and who sends it, all on one level.
type lifecycleNotice struct {
	Origin               string `json:"Origin,omitempty"`
	LifecycleHookName    string `json:"LifecycleHookName,omitempty"`
	Destination          string `json:"Destination,omitempty"`
	AccountID            string `json:"AccountId"`
	RequestID            string `json:"RequestId"`
	LifecycleTransition  string `json:"LifecycleTransition,omitempty"`
	AutoScalingGroupARN  string `json:"AutoScalingGroupARN,omitempty"`
	AutoScalingGroupName string `json:"AutoScalingGroupName"`
	Service              string `json:"Service"`
	Event                string `json:"Event,omitempty"`
	Time                 string `json:"Time"`
	EC2InstanceID        string `json:"EC2InstanceId,omitempty"`
	LifecycleActionToken string `json:"LifecycleActionToken,omitempty"`
	NotificationMetadata string `json:"NotificationMetadata,omitempty"`
}

// lifecycleDetail is the detail of the events EC2 Instance-launch and
// -terminate Lifecycle Action.
type lifecycleDetail struct {
	LifecycleActionToken string `json:"LifecycleActionToken"`
	AutoScalingGroupName string `json:"AutoScalingGroupName"`
	LifecycleHookName    string `json:"LifecycleHookName"`
	EC2InstanceID        string `json:"EC2InstanceId"`
	LifecycleTransition  string `json:"LifecycleTransition"`
	NotificationMetadata string `json:"NotificationMetadata,omitempty"`
	Origin               string `json:"Origin"`
	Destination          string `json:"Destination"`
}

// announce tells of a lifecycle action that begins: on the bus, and to the
// hook's own target.
func (s *Sim) announce(m *member, a *action) {
	kind, from, to := "EC2 Instance-terminate Lifecycle Action", "AutoScalingGroup", "EC2"
	switch launches := a.hook.transition == hookLaunching; {
	case launches:
		kind, from, to = "EC2 Instance-launch Lifecycle Action", "EC2", "AutoScalingGroup"
		if m.warm {
			to = "WarmPool"
		} else if m.fromPool {
			from = "WarmPool"
		}
	case m.warm:
		from = "WarmPool"
	case m.reuse:
		to = "WarmPool"
	}
	s.emit("aws.autoscaling", kind, a.began, lifecycleDetail{
		a.token, m.group.name, a.hook.name, m.inst.id, a.hook.transition, a.hook.notification, from, to,
	}, m.group.arn)
	s.notify(a.hook, jsonText(lifecycleNotice{
		Origin: from, Destination: to, AccountID: s.cfg.AccountID, RequestID: uuid(s.mail), Service: "AWS Auto Scaling", Time: millis(a.began),
		AutoScalingGroupName: m.group.name, LifecycleHookName: a.hook.name, LifecycleTransition: a.hook.transition,
		EC2InstanceID: m.inst.id, LifecycleActionToken: a.token, NotificationMetadata: a.hook.notification,
	}))
}

// millis is how Auto Scaling's own notifications write a time.
func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// notify sends to a hook's target. Auto Scaling does so as the hook's role, so
// that the queue's own policy has no say in the account itself. Topics of SNS
// are accepted and get nothing.
func (s *Sim) notify(h *hook, body string) {
	if q := s.queueByARN(h.target); q != nil {
		s.send(q, body)
	}
}

// testTarget sends the test notification that a hook's target gets when it is named.
func (s *Sim) testTarget(g *group, h *hook) error {
	switch {
	case h.role == "":
		return validation("RoleARN is required when a NotificationTargetARN is given")
	case s.isQueueARN(h.target) && s.queueByARN(h.target) == nil:
		return validation("Unable to publish test message to notification target %s using IAM role %s. Please check your target and role configuration and try to put lifecycle hook again.", h.target, h.role)
	}
	s.notify(h, jsonText(lifecycleNotice{
		AccountID: s.cfg.AccountID, RequestID: uuid(s.mail), AutoScalingGroupARN: g.arn, AutoScalingGroupName: g.name,
		Service: "AWS Auto Scaling", Event: "autoscaling:TEST_NOTIFICATION", Time: millis(time.Now()),
	}))
	return nil
}

// spot is the running spot instance that EC2 is to say something about.
func (s *Sim) spot(id string) (*instance, error) {
	inst := s.instances[id]
	switch {
	case inst == nil:
		return nil, fmt.Errorf("finding spot instance %q: it does not exist", id)
	case inst.state != ec2Running:
		return nil, fmt.Errorf("finding spot instance %q: it is %s", id, inst.state)
	case inst.lifecycle != "spot":
		return nil, fmt.Errorf("finding spot instance %q: it is on demand; PATCH it to {\"lifecycle\":\"spot\"} first", id)
	}
	return inst, nil
}

// InterruptSpot warns of the end of a spot instance, which comes after
// [Config.SpotNotice] whatever its group, a lifecycle hook or a protection
// against termination say.
func (s *Sim) InterruptSpot(id string) error {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	inst, err := s.spot(id)
	if err != nil {
		return err
	}
	// The ARN of this event has the zone and no account ("Spot Instance
	// interruption notices", EC2 User Guide).
	s.emit("aws.ec2", "EC2 Spot Instance Interruption Warning", time.Now(), map[string]string{
		"instance-id": inst.id, "instance-action": "terminate",
	}, "arn:"+s.partition()+":ec2:"+inst.zone+":instance/"+inst.id)
	s.after(s.configOf(inst.home).SpotNotice, func() {
		s.endInstance(inst, origin{cause: CauseSpot}, "Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination", "Server.SpotInstanceTermination: Spot instance termination")
	})
	return nil
}

// RecommendRebalance says that a spot instance is at risk. A group with
// Capacity Rebalancing replaces it.
func (s *Sim) RecommendRebalance(id string) error {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	inst, err := s.spot(id)
	if err != nil {
		return err
	}
	s.emit("aws.ec2", "EC2 Instance Rebalance Recommendation", time.Now(), map[string]string{"instance-id": inst.id}, s.instanceARN(inst.id))
	if inst.member != nil {
		inst.member.atRisk = true
		s.reconcileSoon(inst.member.group)
	}
	return nil
}
