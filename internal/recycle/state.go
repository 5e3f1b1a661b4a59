package recycle

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
)

// Stage is how far the recycle of an instance is.
type Stage string

// The stages.
const (
	// Serving is in service, or on its way there: nothing is begun, or somebody brought it back.
	Serving Stage = "serving"
	// Waiting is on standby, or about to be, and nothing has taken its place yet.
	Waiting Stage = "waiting for a replacement"
	// Replaced is on standby, and another instance serves in its place. If nobody works on it, it is parked.
	Replaced Stage = "replaced"
	// Returning is on its way back into service, and the group's desired capacity may not fit yet.
	Returning Stage = "returning"
	// Retiring is past the point of no return, and still a member of its group.
	Retiring Stage = "retiring"
	// Detached was taken out of its group by its recycle, which is not over.
	Detached Stage = "detached"
	// Terminating is being terminated by its group, or was terminated by somebody else while it served.
	Terminating Stage = "terminating"
	// Kept is terminated as far as its group is concerned, and kept running by an instance lifecycle policy.
	Kept Stage = "retained"
	// Released left its group by another hand and runs on.
	Released Stage = "released"
	// Gone is terminated, by another hand.
	Gone Stage = "gone"
	// Unclear is in a lifecycle state that is neither in service nor a recycle's.
	Unclear Stage = "unclear"
)

// StateOf judges how far the recycle of an instance is, from what Auto Scaling and EC2 say of it and from the record of the
// recycle, if there is one. Nothing else decides that: no mark on a Node, and tags only where there is no record and no group.
func StateOf(t asg.Target, r *claim.Record) Stage {
	if t.Group == nil {
		return stateOutside(t.Instance, r)
	}
	retiring := r != nil && !r.RetiringSince.IsZero()
	switch state := t.Lifecycle(); {
	case state == asg.Retained:
		return Kept
	case strings.HasPrefix(state, "Terminat") && retiring:
		return Retiring // by its group, where that detaches nothing from Standby
	case strings.HasPrefix(state, "Terminat"):
		return Terminating
	case state == asg.Detaching && announced(t.Instance, r):
		return Retiring
	case state == asg.Detaching:
		return Released
	case state == asg.Standby && (retiring || t.Instance.Gone()):
		return Retiring
	case state == asg.EnteringStandby && t.Instance.Gone():
		return Waiting // it will be on standby in a moment
	case t.Instance.Gone():
		return Terminating
	case state == asg.Standby && returning(r).Stage != "":
		return Returning
	case state == asg.Standby && r != nil && r.Replaced:
		return Replaced
	case state == asg.Standby, state == asg.EnteringStandby:
		return Waiting
	case t.IsServing() && returning(r).Stage != "":
		return Returning
	case t.IsServing():
		return Serving
	default:
		return Unclear
	}
}

// announced reports that the record says that the instance is being taken out of its group, or, where there is none, its tags.
func announced(i asg.Instance, r *claim.Record) bool {
	if r == nil {
		return i.Retiring() && !i.StartedAgain()
	}
	return !r.RetiringSince.IsZero()
}

// stateOutside is that of an instance which no group lists.
func stateOutside(i asg.Instance, r *claim.Record) Stage {
	switch {
	case announced(i, r):
		return Detached
	case i.Gone():
		return Gone
	default:
		return Released
	}
}

// returning reads how far the return of the instance to service is. What cannot be read is none: AWS is asked anew then.
func returning(r *claim.Record) (m asg.Checkpoint) {
	if r == nil || r.Return == "" {
		return m
	}
	if err := json.Unmarshal([]byte(r.Return), &m); err != nil || m.Weight < 1 || m.Desired < 0 ||
		!slices.Contains([]asg.Stage{asg.Lowering, asg.Exiting, asg.Exited, asg.Raising, asg.Surplus}, m.Stage) {
		return asg.Checkpoint{}
	}
	return m
}

// forward reports that a recycle at this stage goes on to the end of the instance, and never back.
func (s Stage) forward() bool { return s == Retiring || s == Detached }
