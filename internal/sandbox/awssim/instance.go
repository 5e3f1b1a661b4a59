package awssim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// States of an EC2 instance.
const (
	ec2Pending      = "pending"
	ec2Running      = "running"
	ec2Stopping     = "stopping"
	ec2Stopped      = "stopped"
	ec2ShuttingDown = "shutting-down"
	ec2Terminated   = "terminated"
)

// instance is what EC2 knows; the group's view of it is the member.
type instance struct {
	id, zone, subnet, kind, image, address, reservation string

	launched         time.Time
	state            string
	step             int // counts changes of state, so that a late appointment sees it is stale
	reasonCode       string
	reasonMessage    string
	transitionReason string
	tags             map[string]string
	rootDevice       string
	lifecycle        string   // "spot" or ""
	volumes          []volume // the root first
	noTermination    bool     // attribute disableApiTermination
	noStop           bool     // attribute disableApiStop
	scheduled        []ScheduledEvent
	origin           origin // of its state
	forgotten        bool   // terminated so long ago that EC2 shows it no more

	member *member // nil: in no group
	home   string  // the group that launched it, whose settings it keeps; "": none

	// The Kubernetes side, fixed at launch.
	joins      bool
	pooled     bool // in a warm pool: its bootstrap waits with joining until it leaves it
	nodeLabels map[string]string
	nodeName   string
	nodeStep   int // counts what befalls its Node, so that a late appointment sees it is stale
}

// newInstance puts a pending instance in place; the caller makes it boot.
func (s *Sim) newInstance(why origin, home, zone, kind string, tags map[string]string) *instance {
	s.addresses++
	config := s.configOf(home)
	third := int(zone[len(zone)-1]-'a')*16 + s.addresses/200
	inst := &instance{
		id: "i-0" + hex(s.rng, 16), zone: zone, subnet: "subnet-0" + s.zoneDigits(zone), kind: kind, image: standardImage,
		address:     fmt.Sprintf("10.0.%d.%d", third%256, 10+s.addresses%200),
		reservation: "r-0" + hex(s.rng, 16), launched: time.Now(), state: ec2Pending, tags: tags,
		home: home, rootDevice: s.cfg.RootDeviceType, joins: !config.NodeNeverJoins, origin: why,
	}
	if config.Spot {
		inst.lifecycle = "spot"
	}
	inst.nodeName = s.nodeName(inst)
	inst.attach(VolumeSpec{Size: s.cfg.RootVolumeSize, DeleteOnTermination: true})
	s.instances[inst.id] = inst
	s.order = append(s.order, inst)
	s.record(inst.origin, Event{Kind: KindInstance, Instance: inst.id, To: ec2Pending})
	return inst
}

func (s *Sim) zoneDigits(zone string) string {
	return fmt.Sprintf("%016x", uint64(zone[len(zone)-1])*0x0101010101010101)
}

// domain is the private DNS domain of the region.
func (s *Sim) domain() string {
	if s.cfg.Region == "us-east-1" {
		return "ec2.internal"
	}
	return s.cfg.Region + ".compute.internal"
}

func (s *Sim) privateDNSName(inst *instance) string {
	if s.configOf(inst.home).NodeNaming == NamingResource {
		return inst.id + "." + s.domain()
	}
	return "ip-" + strings.ReplaceAll(inst.address, ".", "-") + "." + s.domain()
}

func (s *Sim) nodeName(inst *instance) string {
	if s.configOf(inst.home).NodeNaming == NamingInstanceID {
		return inst.id
	}
	return s.privateDNSName(inst)
}

func (s *Sim) setInstanceState(inst *instance, state string) {
	s.record(inst.origin, Event{Kind: KindInstance, Instance: inst.id, From: inst.state, To: state})
	inst.state = state
	inst.step++
	if inst.member != nil {
		s.reconcileSoon(inst.member.group)
	}
}

// afterInstance runs do unless the instance changes state before.
func (s *Sim) afterInstance(inst *instance, d time.Duration, do func()) {
	step := inst.step
	s.after(d, func() {
		if inst.step == step {
			do()
		}
	})
}

// boot takes a pending instance to running and its Node into the cluster.
func (s *Sim) boot(inst *instance, d time.Duration) {
	s.afterInstance(inst, d, func() {
		s.setInstanceState(inst, ec2Running)
		inst.reasonCode, inst.reasonMessage, inst.transitionReason = "", "", ""
		if inst.joins && !inst.pooled {
			s.afterInstance(inst, s.configOf(inst.home).NodeJoin, func() { s.joinNode(inst) })
		}
	})
}

func (s *Sim) stopInstance(inst *instance, why origin) {
	inst.origin = why
	inst.reasonCode, inst.reasonMessage = "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown"
	inst.transitionReason = "User initiated (" + time.Now().UTC().Format("2006-01-02 15:04:05") + " GMT)"
	s.setInstanceState(inst, ec2Stopping)
	s.afterInstance(inst, s.configOf(inst.home).Stopping, func() {
		s.setInstanceState(inst, ec2Stopped)
		s.taintNode(inst)
	})
}

// startInstance makes the time of launch that of the start, as EC2 does.
func (s *Sim) startInstance(inst *instance, why origin) {
	inst.origin, inst.launched = why, time.Now()
	s.setInstanceState(inst, ec2Pending)
	s.untaintNode(inst)
	s.boot(inst, s.configOf(inst.home).Starting)
}

func (s *Sim) terminateInstance(inst *instance, why origin) {
	s.endInstance(inst, why, "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown",
		"User initiated ("+time.Now().UTC().Format("2006-01-02 15:04:05")+" GMT)")
}

// endInstance is a termination with its reason: code and message of the state,
// and what the transition says.
func (s *Sim) endInstance(inst *instance, why origin, code, message, transition string) {
	if inst.state == ec2ShuttingDown || inst.state == ec2Terminated {
		return
	}
	inst.origin = why
	inst.reasonCode, inst.reasonMessage, inst.transitionReason = code, message, transition
	s.setInstanceState(inst, ec2ShuttingDown)
	s.afterInstance(inst, s.configOf(inst.home).Terminating, func() {
		s.setInstanceState(inst, ec2Terminated)
		s.deleteNode(inst)
		s.afterInstance(inst, s.cfg.TerminatedVisible, func() { inst.forgotten = true })
	})
}

// dead is what a health check of EC2 finds.
func (inst *instance) dead() bool { return inst.state != ec2Running && inst.state != ec2Pending }

func stateCode(state string) int {
	switch state {
	case ec2Running:
		return 16
	case ec2ShuttingDown:
		return 32
	case ec2Terminated:
		return 48
	case ec2Stopping:
		return 64
	case ec2Stopped:
		return 80
	}
	return 0
}

// InstanceSpec describes an instance of no group, such as Karpenter's.
type InstanceSpec struct {
	AvailabilityZone string            `json:"availabilityZone"` // default: the region's first
	InstanceType     string            `json:"instanceType"`
	Tags             map[string]string `json:"tags"`
	NodeLabels       map[string]string `json:"nodeLabels"`
	JoinsCluster     bool              `json:"joinsCluster"`
}

// AddInstance launches an instance of no group and gives its id.
func (s *Sim) AddInstance(spec InstanceSpec) (string, error) {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	s.by = origin{cause: CauseOutside}
	if spec.AvailabilityZone == "" {
		spec.AvailabilityZone = s.cfg.Region + "a"
	}
	if !s.isZone(spec.AvailabilityZone) {
		return "", fmt.Errorf("adding an instance: %q is no zone of %q", spec.AvailabilityZone, s.cfg.Region)
	}
	if spec.InstanceType == "" {
		spec.InstanceType = s.cfg.InstanceType
	}
	tags := map[string]string{}
	maps.Copy(tags, spec.Tags)
	inst := s.newInstance(s.by, "", spec.AvailabilityZone, spec.InstanceType, tags)
	inst.joins, inst.nodeLabels = spec.JoinsCluster, spec.NodeLabels
	s.boot(inst, s.cfg.Boot)
	return inst.id, nil
}

// ActOutside stops, starts or terminates an instance as another person would.
func (s *Sim) ActOutside(id, action string) error {
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	s.by = origin{cause: CauseOutside}
	inst := s.instances[id]
	if inst == nil {
		return fmt.Errorf("acting on instance %q: it does not exist", id)
	}
	switch {
	case action == "terminate":
		s.terminateInstance(inst, s.by)
	case action == "stop" && inst.state == ec2Running:
		s.stopInstance(inst, s.by)
	case action == "start" && inst.state == ec2Stopped:
		s.startInstance(inst, s.by)
	default:
		return fmt.Errorf("acting on instance %q: cannot %s it while %s", id, action, inst.state)
	}
	return nil
}

// ChangeInstance sets what is otherwise fixed at launch; empty leaves as is,
// and the lifecycle "on-demand" is that of no spot instance.
func (s *Sim) ChangeInstance(id, rootDeviceType, lifecycle string) error {
	s.mu.Lock()
	defer s.release()
	inst := s.instances[id]
	if inst == nil {
		return fmt.Errorf("changing instance %q: it does not exist", id)
	}
	switch rootDeviceType {
	case "":
	case "ebs", "instance-store":
		inst.rootDevice = rootDeviceType
	default:
		return fmt.Errorf("changing instance %q: root device type %q is neither ebs nor instance-store", id, rootDeviceType)
	}
	switch lifecycle {
	case "":
	case "spot":
		inst.lifecycle = "spot"
	case "on-demand":
		inst.lifecycle = ""
	default:
		return fmt.Errorf("changing instance %q: lifecycle %q is neither spot nor on-demand", id, lifecycle)
	}
	return nil
}

// isZone: a zone is the region and one letter.
func (s *Sim) isZone(zone string) bool {
	letter, ok := strings.CutPrefix(zone, s.cfg.Region)
	return ok && len(letter) == 1 && letter[0] >= 'a' && letter[0] <= 'f'
}

func parseWeight(text string) (int, error) {
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 999 {
		return 0, validation("WeightedCapacity must be a number between 1 and 999")
	}
	return n, nil
}
