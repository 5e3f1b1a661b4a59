package awssim

import (
	"maps"
	"slices"
	"time"
)

const vpcID = "vpc-0123456789abcdef0"

// standardImage is that of instances whose launch template names none.
const standardImage = "ami-0123456789abcdef0"

type reservationXML struct {
	ReservationID string             `xml:"reservationId"`
	OwnerID       string             `xml:"ownerId"`
	GroupSet      items[string]      `xml:"groupSet"`
	Instances     items[instanceXML] `xml:"instancesSet"`
}

type stateXML struct {
	Code int    `xml:"code"`
	Name string `xml:"name"`
}

func stateOf(name string) stateXML { return stateXML{stateCode(name), name} }

type instanceXML struct {
	InstanceID       string         `xml:"instanceId"`
	ImageID          string         `xml:"imageId"`
	State            stateXML       `xml:"instanceState"`
	PrivateDNSName   string         `xml:"privateDnsName"`
	DNSName          string         `xml:"dnsName"`
	Reason           string         `xml:"reason"`
	AMILaunchIndex   int            `xml:"amiLaunchIndex"`
	ProductCodes     items[string]  `xml:"productCodes"`
	InstanceType     string         `xml:"instanceType"`
	LaunchTime       xmlTime        `xml:"launchTime"`
	Zone             string         `xml:"placement>availabilityZone"`
	Tenancy          string         `xml:"placement>tenancy"`
	Monitoring       string         `xml:"monitoring>state"`
	SubnetID         string         `xml:"subnetId,omitempty"`
	VPCID            string         `xml:"vpcId,omitempty"`
	PrivateIPAddress string         `xml:"privateIpAddress,omitempty"`
	StateReason      *reasonXML     `xml:"stateReason"`
	Architecture     string         `xml:"architecture"`
	RootDeviceType   string         `xml:"rootDeviceType"`
	RootDeviceName   string         `xml:"rootDeviceName"`
	Virtualization   string         `xml:"virtualizationType"`
	Lifecycle        string         `xml:"instanceLifecycle,omitempty"`
	Tags             items[tagXML]  `xml:"tagSet"`
	Hypervisor       string         `xml:"hypervisor"`
	EBSOptimized     bool           `xml:"ebsOptimized"`
	BlockDevices     items[string]  `xml:"blockDeviceMapping"`
	NetInterfaces    items[string]  `xml:"networkInterfaceSet"`
	SecurityGroups   items[string]  `xml:"groupSet"`
	DNSOptions       *dnsOptionsXML `xml:"privateDnsNameOptions"`
}

type reasonXML struct {
	Code    string `xml:"code"`
	Message string `xml:"message"`
}

type tagXML struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

type dnsOptionsXML struct {
	HostnameType string `xml:"hostnameType"`
}

// A terminated instance keeps neither address nor name.
func (s *Sim) shownDNSName(inst *instance) string {
	if inst.state == ec2Terminated || inst.id == "" {
		return ""
	}
	return s.privateDNSName(inst)
}

func (s *Sim) shownAddress(inst *instance) string {
	if inst.state == ec2Terminated {
		return ""
	}
	return inst.address
}

func (s *Sim) instanceXML(inst *instance) instanceXML {
	x := instanceXML{
		InstanceID: inst.id, ImageID: inst.image, State: stateOf(inst.state), PrivateDNSName: s.shownDNSName(inst),
		Reason: inst.transitionReason, InstanceType: inst.kind, LaunchTime: xmlTime(inst.launched.Truncate(time.Second)),
		Zone: inst.zone, Tenancy: "default", Monitoring: "disabled", PrivateIPAddress: s.shownAddress(inst),
		Architecture: "x86_64", RootDeviceType: inst.rootDevice, RootDeviceName: "/dev/xvda", Virtualization: "hvm",
		Lifecycle: inst.lifecycle, Tags: items[tagXML]{tagList(inst.tags)}, Hypervisor: "xen", EBSOptimized: true,
		DNSOptions: &dnsOptionsXML{NamingIP},
	}
	if s.configOf(inst.home).NodeNaming == NamingResource {
		x.DNSOptions.HostnameType = NamingResource
	}
	if inst.state != ec2Terminated {
		x.SubnetID, x.VPCID = inst.subnet, vpcID
	}
	if inst.reasonCode != "" {
		x.StateReason = &reasonXML{inst.reasonCode, inst.reasonMessage}
	}
	return x
}

func tagList(tags map[string]string) []tagXML {
	out := []tagXML{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, tagXML{key, tags[key]})
	}
	return out
}

type describeInstancesResult struct {
	ec2Head
	Reservations items[reservationXML] `xml:"reservationSet"`
	NextToken    string                `xml:"nextToken,omitempty"`
}

func instanceID(inst *instance) string { return inst.id }

func (s *Sim) describeInstances(r *request) (any, error) {
	var next string
	found, err := s.selected(r, func(all []*instance) (part []*instance, err error) {
		part, next, err = ec2Page(r.params, all, instanceID)
		return part, err
	})
	if err != nil {
		return nil, err
	}
	return &describeInstancesResult{NextToken: next, Reservations: itemList(found, func(inst *instance) reservationXML {
		return reservationXML{ReservationID: inst.reservation, OwnerID: s.cfg.AccountID, Instances: itemList([]*instance{inst}, s.instanceXML)}
	})}, nil
}

type statusXML struct {
	InstanceID string                   `xml:"instanceId"`
	Zone       string                   `xml:"availabilityZone"`
	Events     items[scheduledEventXML] `xml:"eventsSet"`
	State      stateXML                 `xml:"instanceState"`
	System     string                   `xml:"systemStatus>status"`
	Instance   string                   `xml:"instanceStatus>status"`
}

type describeStatusResult struct {
	ec2Head
	Statuses  items[statusXML] `xml:"instanceStatusSet"`
	NextToken string           `xml:"nextToken,omitempty"`
}

// describeInstanceStatus shows only running instances unless told to show all.
func (s *Sim) describeInstanceStatus(r *request) (any, error) {
	all, err := r.boolean("IncludeAllInstances", false)
	if err != nil {
		return nil, err
	}
	var next string
	found, err := s.selected(r, func(in []*instance) (part []*instance, err error) {
		in = slices.DeleteFunc(slices.Clone(in), func(inst *instance) bool { return !all && inst.state != ec2Running })
		part, next, err = ec2Page(r.params, in, instanceID)
		return part, err
	})
	if err != nil {
		return nil, err
	}
	return &describeStatusResult{NextToken: next, Statuses: itemList(found, func(inst *instance) statusXML {
		status := "not-applicable"
		if inst.state == ec2Running {
			status = "ok"
		}
		return statusXML{inst.id, inst.zone, itemList(inst.scheduled, scheduledXML), stateOf(inst.state), status, status}
	})}, nil
}
