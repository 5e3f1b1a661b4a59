package awssim

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Call is one entry of the call log. Resources are those an IAM policy can
// name for the action, with their tags as they were when the call arrived.
type Call struct {
	Seq       int               `json:"seq"`
	Time      time.Time         `json:"time"`
	Service   string            `json:"service"`
	Action    string            `json:"action"`
	Params    map[string]string `json:"params"`
	Resources []Resource        `json:"resources"`
	UserAgent string            `json:"userAgent"`
	AccessKey string            `json:"accessKeyId"`
	Region    string            `json:"region"`
	ErrorCode string            `json:"errorCode"`
	Fault     string            `json:"fault,omitempty"` // kind of the fault that hit it
	ReadOnly  bool              `json:"readOnly"`
	// Effect: the action was carried out, whatever answer was given or lost.
	Effect bool `json:"effect"`
}

// Resource is what a call acts on.
type Resource struct {
	ARN  string            `json:"arn"`
	Tags map[string]string `json:"tags"`
}

// Calls are the log's entries after sequence number since.
func (s *Sim) Calls(since int) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Call{}
	for _, c := range s.calls {
		if c.Seq > since {
			out = append(out, *c)
		}
	}
	return out
}

// ForgetCalls empties the call log; sequence numbers go on.
func (s *Sim) ForgetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *Sim) logCall(r *request) *Call {
	s.callSeq++
	c := &Call{
		Seq: s.callSeq, Time: time.Now().UTC(), Service: r.service, Action: r.action, UserAgent: r.userAgent,
		AccessKey: r.accessKey, Region: r.region, ReadOnly: readOnly(r.action),
	}
	// Gathering these costs, and the state they are of is gone afterwards.
	if !s.cfg.NoCallLog || len(s.observers) > 0 {
		c.Params, c.Resources = r.params.flat(), s.resources(r)
	}
	if !s.cfg.NoCallLog {
		s.calls = append(s.calls, c)
	}
	return c
}

func readOnly(action string) bool {
	return strings.HasPrefix(action, "Describe") || strings.HasPrefix(action, "Get") || strings.HasPrefix(action, "List")
}

// resources follows the Service Authorization Reference: describing actions of
// Auto Scaling and EC2 know no resource.
func (s *Sim) resources(r *request) []Resource {
	out := []Resource{}
	switch r.service {
	case "eks":
		out = append(out, Resource{s.clusterARN(r.params.str("name")), map[string]string{}})
	case "autoscaling":
		if readOnly(r.action) {
			break
		}
		names := []string{r.params.str("AutoScalingGroupName")}
		for _, tag := range r.params.entries("Tags") {
			if name := r.params.str(tag + ".ResourceId"); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if inst := s.instances[r.params.str("InstanceId")]; inst != nil && inst.member != nil {
			names = append(names, inst.member.group.name)
		}
		for _, name := range names {
			if g := s.group(name); g != nil {
				out = append(out, Resource{g.arn, g.tagMap()})
			} else if name != "" {
				out = append(out, Resource{s.groupARN("*", name), map[string]string{}})
			}
		}
	case "sqs":
		// All but ListQueues know the queue, whether it exists or not.
		name := r.params.str("QueueName")
		if url := r.params.str("QueueUrl"); url != "" {
			name = url[strings.LastIndex(url, "/")+1:]
		}
		if name != "" {
			out = append(out, Resource{s.queueARN(name), map[string]string{}})
		}
	case "events":
		switch name := r.params.str("Name") + r.params.str("Rule"); {
		case r.action == "PutEvents":
			out = append(out, Resource{s.arn("events", "event-bus/default"), map[string]string{}})
		case name != "":
			out = append(out, Resource{s.ruleARN(name), map[string]string{}})
		}
	case "ec2":
		ids := slices.Concat(r.params.list("InstanceId"), r.params.list("ResourceId"))
		if one := r.params.str("InstanceId"); one != "" { // of the calls about attributes
			ids = append(ids, one)
		} else if readOnly(r.action) {
			break
		}
		for _, id := range ids {
			tags := map[string]string{}
			if inst := s.instances[id]; inst != nil {
				tags = maps.Clone(inst.tags)
			}
			out = append(out, Resource{s.instanceARN(id), tags})
		}
	}
	return out
}
