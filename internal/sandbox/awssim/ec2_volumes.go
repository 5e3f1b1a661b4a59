package awssim

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// volume is an EBS volume that an instance was launched with or was given. It
// is attached until the instance is terminated; then it goes, or stays behind.
type volume struct {
	id, device string
	size       int
	goes       bool // DeleteOnTermination
	created    time.Time
}

// VolumeSpec describes a volume to attach to an instance.
type VolumeSpec struct {
	Size                int  `json:"size"` // GiB
	DeleteOnTermination bool `json:"deleteOnTermination"`
}

// attach gives an instance another volume. Ids follow from the instance's: to
// draw them would change every id after them for a given seed.
func (inst *instance) attach(spec VolumeSpec) {
	n := len(inst.volumes)
	inst.volumes = append(slices.Clip(inst.volumes), volume{
		id: fmt.Sprintf("vol-%s%02x", inst.id[2:17], n), device: "/dev/xvd" + string(rune('a'+n%26)),
		size: spec.Size, goes: spec.DeleteOnTermination, created: time.Now(),
	})
}

// AttachVolumes gives an instance more volumes than its root.
func (s *Sim) AttachVolumes(id string, specs ...VolumeSpec) error {
	s.mu.Lock()
	defer s.release()
	inst := s.instances[id]
	if inst == nil || inst.state == ec2Terminated {
		return fmt.Errorf("attaching volumes to instance %q: it does not exist", id)
	}
	for _, spec := range specs {
		if spec.Size < 1 {
			return fmt.Errorf("attaching volumes to instance %q: a size of %d GiB", id, spec.Size)
		}
	}
	for _, spec := range specs {
		inst.attach(spec)
	}
	return nil
}

// BackdateInstance sets the time of launch, for tests of what takes days.
func (s *Sim) BackdateInstance(id string, launched time.Time) error {
	s.mu.Lock()
	defer s.release()
	inst := s.instances[id]
	if inst == nil {
		return fmt.Errorf("changing instance %q: it does not exist", id)
	}
	inst.launched = launched
	return nil
}

type volumeXML struct {
	VolumeID    string               `xml:"volumeId"`
	Size        int                  `xml:"size"`
	SnapshotID  string               `xml:"snapshotId"`
	Zone        string               `xml:"availabilityZone"`
	Status      string               `xml:"status"`
	Created     xmlTime              `xml:"createTime"`
	Attachments items[attachmentXML] `xml:"attachmentSet"`
	Type        string               `xml:"volumeType"`
	Encrypted   bool                 `xml:"encrypted"`
	MultiAttach bool                 `xml:"multiAttachEnabled"`
}

type attachmentXML struct {
	VolumeID   string  `xml:"volumeId"`
	InstanceID string  `xml:"instanceId"`
	Device     string  `xml:"device"`
	Status     string  `xml:"status"`
	AttachTime xmlTime `xml:"attachTime"`
	Goes       bool    `xml:"deleteOnTermination"`
}

// shownVolumes are those of an instance that exist now. An instance-store root
// is no volume.
func shownVolumes(inst *instance) []volumeXML {
	var out []volumeXML
	for i, v := range inst.volumes {
		gone := inst.state == ec2Terminated
		if (i == 0 && inst.rootDevice != "ebs") || (gone && v.goes) {
			continue
		}
		x := volumeXML{VolumeID: v.id, Size: v.size, Zone: inst.zone, Status: "available", Created: xmlTime(v.created), Type: "gp3"}
		if !gone {
			x.Status = "in-use"
			x.Attachments.Item = []attachmentXML{{v.id, inst.id, v.device, "attached", xmlTime(v.created), v.goes}}
		}
		out = append(out, x)
	}
	return out
}

type describeVolumesResult struct {
	ec2Head
	Volumes   items[volumeXML] `xml:"volumeSet"`
	NextToken string           `xml:"nextToken,omitempty"`
}

func (s *Sim) describeVolumes(r *request) (any, error) {
	var found []volumeXML
	for _, inst := range s.order {
		found = append(found, shownVolumes(inst)...)
	}
	ids := r.list("VolumeId")
	for _, id := range ids {
		if !slices.ContainsFunc(found, func(v volumeXML) bool { return v.VolumeID == id }) {
			return nil, fail("InvalidVolume.NotFound", "The volume '%s' does not exist.", id)
		}
	}
	filters, err := ec2Filters(r.params)
	if err != nil {
		return nil, err
	}
	for _, f := range filters {
		if _, known := (volumeXML{}).matches(f); !known {
			return nil, fail("InvalidParameterValue", "The filter '%s' is invalid", f.name)
		}
	}
	found = slices.DeleteFunc(found, func(v volumeXML) bool {
		return (len(ids) > 0 && !slices.Contains(ids, v.VolumeID)) || slices.ContainsFunc(filters, func(f filter) bool {
			ok, _ := v.matches(f)
			return !ok
		})
	})
	part, next, err := ec2Page(r.params, found, func(v volumeXML) string { return v.VolumeID })
	if err != nil {
		return nil, err
	}
	return &describeVolumesResult{NextToken: next, Volumes: items[volumeXML]{part}}, nil
}

// matches tells whether a volume passes a filter, and whether EC2 knows it.
func (v volumeXML) matches(f filter) (matches, known bool) {
	var attached attachmentXML
	if len(v.Attachments.Item) > 0 {
		attached = v.Attachments.Item[0]
	}
	value := ""
	switch f.name {
	case "attachment.instance-id":
		value = attached.InstanceID
	case "attachment.delete-on-termination":
		value = strconv.FormatBool(attached.Goes)
	case "volume-id":
		value = v.VolumeID
	case "status":
		value = v.Status
	case "availability-zone":
		value = v.Zone
	default:
		return false, false
	}
	return slices.ContainsFunc(f.values, func(want string) bool { return wildcard(want, value) }), true
}
