package awssim

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"k8s.io/client-go/kubernetes"
)

// Values of the switches in [Config].
const (
	NamingIP         = "ip-name"       // ip-10-0-1-2.<region>.compute.internal, the default
	NamingResource   = "resource-name" // i-….<region>.compute.internal
	NamingInstanceID = "instance-id"   // i-…, while EC2 still says ip-….

	DetachAccept = "accept" // DetachInstances takes a Standby instance, the default
	DetachRefuse = "refuse" // it answers "is not in InService."

	LeaveNotReady = "not-ready" // a Node that leaves stays and is NotReady, the default
	LeaveDeleted  = "deleted"   // it is deleted

	AtMaxRefuse = "refuse" // ExitStandby at MaxSize is a ValidationError, the default
	AtMaxAllow  = "allow"  // desired capacity goes above MaxSize

	PendingSpare = "spare" // scale-in takes only what is in service, the default
	PendingTake  = "take"  // it takes Pending instances too, these even while Terminate is suspended

	VersionHidden = "hidden" // an instance of a group that names no version of its template shows none either, the default
	VersionShown  = "shown"  // it shows the number of the version that it was launched from

	RebalanceReplaces = "replace" // Capacity Rebalancing replaces an instance at risk, the default
	RebalanceIgnores  = "ignore"  // it is told of and nothing follows

	HookChangeApplies = "applies"     // a changed hook counts for what waits for it, its timeout from the next heartbeat; the default
	HookChangeNewOnly = "new-actions" // what waits keeps the terms it began with
)

// Config is what a simulator starts with. Fields with a JSON name can be
// changed while it runs, by [Sim.Configure] or PUT /_sim/config. A duration of
// zero means at once; [DefaultConfig] has durations like those of AWS.
type Config struct {
	Region      string               `json:"-"`
	AccountID   string               `json:"-"`
	ClusterName string               `json:"-"`
	Kubernetes  kubernetes.Interface `json:"-"` // nil: no Nodes
	Log         *slog.Logger         `json:"-"` // nil: silent
	Seed        uint64               `json:"-"` // of all ids
	// SecretKeys by access key, to check EKS tokens; AWS calls are taken from anyone.
	SecretKeys map[string]string `json:"-"`

	Boot              time.Duration `json:"boot"`              // launch to running, Pending to InService
	NodeJoin          time.Duration `json:"nodeJoin"`          // running to Node there
	NodeReady         time.Duration `json:"nodeReady"`         // Node there to Ready, with MarkNodesReady
	EnteringStandby   time.Duration `json:"enteringStandby"`   // load balancer deregistration
	ExitingStandby    time.Duration `json:"exitingStandby"`    // Pending after ExitStandby and AttachInstances
	Detaching         time.Duration `json:"detaching"`         // how long Detaching stays visible
	Stopping          time.Duration `json:"stopping"`          // StopInstances to stopped
	Starting          time.Duration `json:"starting"`          // StartInstances to running
	Terminating       time.Duration `json:"terminating"`       // shutting-down to terminated
	TerminatedVisible time.Duration `json:"terminatedVisible"` // how long EC2 still shows a terminated instance
	Reconcile         time.Duration `json:"reconcile"`         // a change to the group's reaction
	HealthCheck       time.Duration `json:"healthCheck"`       // a dead InService instance to Unhealthy
	SpotNotice        time.Duration `json:"spotNotice"`        // a spot interruption warning to the end of the instance
	LaunchRetry       time.Duration `json:"launchRetry"`       // first pause after a failed launch, doubled up to 16 times
	AZRebalanceAfter  time.Duration `json:"azRebalanceAfter"`  // zones out of balance to AZRebalance
	RefreshPatience   time.Duration `json:"refreshPatience"`   // how long an instance refresh waits for Standby instances; 0: an hour

	// HiddenAtMost is how long a received message is hidden at most, whatever the caller or the queue asks for; 0: as they ask.
	HiddenAtMost time.Duration `json:"hiddenAtMost"`

	// StaleReads is how far answers of Describe* may lag behind, each call by
	// another while; 0: consistent at once. Changes always act on what is true.
	StaleReads time.Duration `json:"staleReads"`

	// NoCallLog keeps no calls, for long runs; observers are still told of them.
	NoCallLog bool `json:"noCallLog"`

	// FaultRate is the share of calls of Auto Scaling and EC2 that a random
	// fault hits, of the kinds named in FaultKinds; none named means all.
	// Scripted faults come first, and every random one passes.
	FaultRate  float64  `json:"faultRate"`
	FaultKinds []string `json:"faultKinds"`

	// AZRebalance has groups rebalance by themselves; otherwise only
	// [Sim.Rebalance] does.
	AZRebalance bool `json:"azRebalance"`

	NodeNaming        string `json:"nodeNaming"`
	DetachFromStandby string `json:"detachFromStandby"`
	ExitStandbyAtMax  string `json:"exitStandbyAtMax"`
	HookChange        string `json:"hookChange"`
	PendingScaleIn    string `json:"pendingScaleIn"`
	UnnamedVersion    string `json:"unnamedVersion"`

	CapacityRebalancing string `json:"capacityRebalancing"` // of groups that ask for it

	InstanceType         string `json:"instanceType"`         // where the group names none
	RootDeviceType       string `json:"rootDeviceType"`       // ebs or instance-store
	RootVolumeSize       int    `json:"rootVolumeSize"`       // GiB of new instances; 0: 50
	Spot                 bool   `json:"spot"`                 // new instances are spot instances
	LaunchTemplateLatest int    `json:"launchTemplateLatest"` // what $Latest and $Default stand for of a template that was not created

	// LaunchFailure is the EC2 error code with which launches fail, such as
	// InsufficientInstanceCapacity; LaunchFailures limits how many do (0: all).
	LaunchFailure  string `json:"launchFailure"`
	LaunchFailures int    `json:"launchFailures"`
	NodeNeverJoins bool   `json:"nodeNeverJoins"` // instances boot, no Node appears
	NodeNeverReady bool   `json:"nodeNeverReady"` // the Node appears and stays NotReady
	MarkNodesReady bool   `json:"markNodesReady"` // sets Ready itself; otherwise kwok does

	// NodeLeavesAfter is how long a Node stays that became Ready from now on,
	// while its instance runs on; 0: for good. NodeLeaves says whether it
	// becomes NotReady or is deleted, NodeReturnsAfter when it comes back, to
	// leave again; 0: never.
	NodeLeavesAfter  time.Duration `json:"nodeLeavesAfter"`
	NodeReturnsAfter time.Duration `json:"nodeReturnsAfter"`
	NodeLeaves       string        `json:"nodeLeaves"`

	AutoScalingRate  float64 `json:"autoScalingRate"` // calls a second into the shared bucket; 0: no throttle
	AutoScalingBurst int     `json:"autoScalingBurst"`
	EC2Rate          float64 `json:"ec2Rate"`
	EC2Burst         int     `json:"ec2Burst"`

	ClusterEndpoint string   `json:"clusterEndpoint"`
	ClusterCA       string   `json:"clusterCA"` // base64 PEM, as EKS gives it
	ClusterVersion  string   `json:"clusterVersion"`
	TokenGroups     []string `json:"tokenGroups"` // groups of a caller with a good EKS token
}

// DefaultConfig has latencies like those of AWS, without a cluster.
func DefaultConfig() Config {
	return Config{
		Boot: 20 * time.Second, NodeJoin: 25 * time.Second, NodeReady: 10 * time.Second,
		EnteringStandby: 30 * time.Second, ExitingStandby: 10 * time.Second, Detaching: 30 * time.Second,
		Stopping: 30 * time.Second, Starting: 15 * time.Second, Terminating: 40 * time.Second,
		TerminatedVisible: time.Hour, Reconcile: 2 * time.Second, HealthCheck: 15 * time.Second,
		LaunchRetry: 30 * time.Second, AZRebalanceAfter: 30 * time.Second, RefreshPatience: time.Hour,
		SpotNotice: 2 * time.Minute,
	}
}

// withDefaults fills what may not be empty; durations stay as they are.
func (c Config) withDefaults() Config {
	str := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	str(&c.Region, "eu-central-1")
	str(&c.AccountID, "000000000000")
	str(&c.ClusterName, "sandbox")
	str(&c.NodeNaming, NamingIP)
	str(&c.DetachFromStandby, DetachAccept)
	str(&c.ExitStandbyAtMax, AtMaxRefuse)
	str(&c.HookChange, HookChangeApplies)
	str(&c.PendingScaleIn, PendingSpare)
	str(&c.UnnamedVersion, VersionHidden)
	str(&c.CapacityRebalancing, RebalanceReplaces)
	str(&c.NodeLeaves, LeaveNotReady)
	str(&c.InstanceType, "m5.large")
	str(&c.RootDeviceType, "ebs")
	str(&c.ClusterVersion, "1.33")
	if c.LaunchTemplateLatest == 0 {
		c.LaunchTemplateLatest = 1
	}
	if c.RootVolumeSize == 0 {
		c.RootVolumeSize = 50
	}
	if c.TerminatedVisible == 0 {
		c.TerminatedVisible = time.Hour
	}
	if c.RefreshPatience == 0 {
		c.RefreshPatience = time.Hour
	}
	if c.TokenGroups == nil {
		c.TokenGroups = []string{"eks-recycle"}
	}
	if c.SecretKeys == nil {
		c.SecretKeys = map[string]string{"sandbox": "sandbox"}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	for _, s := range []struct {
		name, value string
		allowed     []string
	}{
		{"nodeNaming", c.NodeNaming, []string{NamingIP, NamingResource, NamingInstanceID}},
		{"detachFromStandby", c.DetachFromStandby, []string{DetachAccept, DetachRefuse}},
		{"exitStandbyAtMax", c.ExitStandbyAtMax, []string{AtMaxRefuse, AtMaxAllow}},
		{"hookChange", c.HookChange, []string{HookChangeApplies, HookChangeNewOnly}},
		{"pendingScaleIn", c.PendingScaleIn, []string{PendingSpare, PendingTake}},
		{"unnamedVersion", c.UnnamedVersion, []string{VersionHidden, VersionShown}},
		{"capacityRebalancing", c.CapacityRebalancing, []string{RebalanceReplaces, RebalanceIgnores}},
		{"nodeLeaves", c.NodeLeaves, []string{LeaveNotReady, LeaveDeleted}},
		{"rootDeviceType", c.RootDeviceType, []string{"ebs", "instance-store"}},
	} {
		if !slices.Contains(s.allowed, s.value) {
			return fmt.Errorf("setting %q is %q, want one of %q", s.name, s.value, s.allowed)
		}
	}
	for _, f := range c.fields() {
		if d, ok := f.value.Interface().(time.Duration); ok && d < 0 {
			return fmt.Errorf("setting %q is negative", f.name)
		}
	}
	if c.FaultRate < 0 || c.FaultRate > 1 {
		return fmt.Errorf("setting \"faultRate\" is %v, want a share from 0 to 1", c.FaultRate)
	}
	if c.RootVolumeSize < 0 {
		return fmt.Errorf("setting \"rootVolumeSize\" is negative")
	}
	for _, kind := range c.FaultKinds {
		if !slices.Contains(faultKinds(), kind) {
			return fmt.Errorf("setting \"faultKinds\" has %q, want some of %q", kind, faultKinds())
		}
	}
	if c.AutoScalingRate < 0 || c.EC2Rate < 0 || c.AutoScalingBurst < 0 || c.EC2Burst < 0 {
		return fmt.Errorf("a throttle rate or burst is negative")
	}
	return nil
}

type configField struct {
	name  string
	value reflect.Value
}

// fields are the changeable ones, in the order of the struct.
func (c *Config) fields() []configField {
	var out []configField
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("json"); name != "-" {
			out = append(out, configField{name, v.Field(i)})
		}
	}
	return out
}

// merge applies a partial JSON document; durations are strings such as "1m30s".
func (c *Config) merge(data []byte) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("reading settings: %w", err)
	}
	for _, f := range c.fields() {
		raw, ok := doc[f.name]
		if !ok {
			continue
		}
		delete(doc, f.name)
		target := f.value.Addr().Interface()
		if d, ok := target.(*time.Duration); ok {
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return fmt.Errorf("reading setting %q: a duration is a string such as \"20s\": %w", f.name, err)
			}
			parsed, err := time.ParseDuration(text)
			if err != nil {
				return fmt.Errorf("reading setting %q: %w", f.name, err)
			}
			*d = parsed
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			return fmt.Errorf("reading setting %q: %w", f.name, err)
		}
	}
	for name := range doc {
		return fmt.Errorf("reading settings: no setting is called %q", name)
	}
	return c.withDefaults().validate()
}

// settings is the changeable part as JSON shows it.
func (c *Config) settings() map[string]any {
	out := map[string]any{}
	for _, f := range c.fields() {
		value := f.value.Interface()
		if d, ok := value.(time.Duration); ok {
			value = d.String()
		}
		out[f.name] = value
	}
	return out
}
