package awssim

import (
	"net/http"
	"slices"
	"time"
)

// Kinds of random faults beside those of [Fault], for [Config.FaultKinds].
const (
	ChanceThrottling      = "throttling"       // Throttling or RequestLimitExceeded, by service
	ChanceScalingActivity = "scaling-activity" // ScalingActivityInProgress, to changes of Auto Scaling
	ChanceContention      = "contention"       // ResourceContention, to the same
	ChanceResourceInUse   = "resource-in-use"  // ResourceInUse, to the actions that the API reference lists it for
)

// faultKinds are all kinds that chance can pick.
func faultKinds() []string {
	return []string{ChanceThrottling, FaultErrorBefore, FaultErrorAfter, FaultDropBefore, FaultDropAfter, FaultDelay, ChanceScalingActivity, ChanceContention, ChanceResourceInUse}
}

// meets tells whether a call can meet a kind of fault.
func meets(r *request, kind string) bool {
	switch kind {
	case ChanceScalingActivity, ChanceContention:
		return r.service == "autoscaling" && !readOnly(r.action)
	case ChanceResourceInUse:
		return r.service == "autoscaling" && slices.Contains([]string{
			"CreateOrUpdateTags", "DeleteAutoScalingGroup", "DeleteTags", "DeleteWarmPool", "ResumeProcesses", "SuspendProcesses",
		}, r.action)
	}
	return true
}

// slowest is the longest of the slow answers; the shortest takes a second.
const slowest = 5 * time.Second

// chance is a random fault for a call, nil where it is spared. All of them
// pass: a client that tries again gets through. Every call takes its draws
// from one seeded sequence, so that the same calls meet the same faults.
func (s *Sim) chance(r *request) *Fault {
	if s.cfg.FaultRate == 0 || r.service != "autoscaling" && r.service != "ec2" || s.luck.Float64() >= s.cfg.FaultRate {
		return nil
	}
	var kinds []string
	for _, kind := range faultKinds() {
		wanted := len(s.cfg.FaultKinds) == 0 || slices.Contains(s.cfg.FaultKinds, kind)
		if wanted && meets(r, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	internal, limit := "InternalFailure", "Throttling"
	if r.service == "ec2" {
		internal, limit = "InternalError", "RequestLimitExceeded"
	}
	refusal := func(code string) *Fault {
		return &Fault{Kind: FaultErrorBefore, Code: code, Message: messageOf(code), Status: statusOf(code)}
	}
	switch kind := kinds[s.luck.IntN(len(kinds))]; kind {
	case ChanceThrottling:
		return refusal(limit)
	case ChanceContention:
		return refusal("ResourceContention")
	case ChanceResourceInUse:
		return refusal("ResourceInUse")
	case ChanceScalingActivity:
		f := refusal("ScalingActivityInProgress")
		f.Message = "Scaling activity " + uuid(s.luck) + " is in progress and blocks this action"
		return f
	case FaultErrorBefore, FaultErrorAfter:
		f := &Fault{Kind: kind, Code: internal, Message: messageOf(internal), Status: http.StatusInternalServerError}
		if s.luck.IntN(2) == 0 {
			f.Code, f.Status = "ServiceUnavailable", http.StatusServiceUnavailable
		}
		return f
	case FaultDelay:
		return &Fault{Kind: kind, delay: time.Second + time.Duration(s.luck.Int64N(int64(slowest-time.Second)))}
	default:
		return &Fault{Kind: kind}
	}
}
