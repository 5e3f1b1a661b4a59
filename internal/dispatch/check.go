package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// settling is how long after an event AWS may not say yet what the event says: its services are eventually consistent.
const settling = 3 * time.Minute

// noticeIsOld is the age from which a Spot interruption notice, which comes two minutes before, means nothing any more.
const noticeIsOld = 15 * time.Minute

// check asks AWS and the cluster whether what an event says is true. It completes and corrects the parameters by what they say.
func (d *Dispatcher) check(ctx context.Context, kind event.Kind, parameters map[string]string) error {
	switch kind {
	case event.Termination:
		return d.checkTermination(ctx, parameters)
	case event.SpotInterruption:
		return d.checkSpotInterruption(ctx, parameters)
	case event.Request:
		return d.checkRequest(ctx, parameters)
	default:
		return d.checkReason(ctx, kind, parameters)
	}
}

// checkTermination wants the instance to wait in that group, which has that hook. When that began is what the group's activities
// say, not what the event does.
func (d *Dispatcher) checkTermination(ctx context.Context, parameters map[string]string) error {
	id, group := parameters["instance-id"], parameters["asg-name"]
	since, err := at(parameters["lifecycle-began"])
	if err != nil {
		return err
	}
	young := time.Since(since) < settling
	target, err := d.asg.Lookup(ctx, id, group)
	switch {
	case errors.Is(err, asg.ErrUnknown) && young:
		return fmt.Errorf("%w: %w", err, errNotYet)
	case errors.Is(err, asg.ErrUnknown):
		return untrue("instance %s is unknown to EC2 and to Auto Scaling group %s", id, group)
	case err != nil:
		return err
	case target.Group == nil:
		return untrue("instance %s belongs to no Auto Scaling group any more", id)
	case target.Group.Name != group:
		return untrue("instance %s is in Auto Scaling group %s, not in %s", id, target.Group.Name, group)
	}
	if state := target.Lifecycle(); state != asg.TerminatingWait && state != asg.Retained {
		if young && (state == asg.InService || state == asg.Terminating) {
			return fmt.Errorf("instance %s is %s in Auto Scaling group %s: %w", id, state, group, errNotYet)
		}
		return untrue("instance %s is %s: it waits for no lifecycle hook", id, state)
	}
	if err := d.checkOurs(ctx, target); err != nil {
		return err
	}
	_, err = d.asg.Hook(ctx, group, parameters["lifecycle-hook"])
	if errors.Is(err, asg.ErrNoHook) {
		return untrue("%v", err)
	}
	if err != nil {
		return err
	}
	began, found, err := d.asg.TerminatingSince(ctx, group, id)
	if err != nil {
		return err
	}
	if found {
		parameters["lifecycle-began"] = began.UTC().Format(time.RFC3339)
	}
	return nil
}

// checkSpotInterruption wants a Spot Instance that runs, and its group's Nodes here.
func (d *Dispatcher) checkSpotInterruption(ctx context.Context, parameters map[string]string) error {
	since, err := at(parameters["noticed-at"])
	if err != nil {
		return err
	}
	if age := time.Since(since); age > noticeIsOld {
		return untrue("the notice for instance %s came %s ago", parameters["instance-id"], age.Round(time.Second))
	}
	target, err := d.running(ctx, parameters["instance-id"], time.Since(since) < settling)
	if err != nil {
		return err
	}
	if !target.Instance.Spot {
		return untrue("instance %s is no Spot Instance", target.Instance.ID)
	}
	return d.checkOurs(ctx, target)
}

// checkRequest finds the instance of a Node, and its group.
func (d *Dispatcher) checkRequest(ctx context.Context, parameters map[string]string) error {
	id := parameters["instance-id"]
	if name := parameters["node"]; name != "" {
		n, err := d.nodes.Get(ctx, name)
		if apierrors.IsNotFound(err) {
			return untrue("node %s does not exist in this cluster", name)
		}
		if err != nil {
			return err
		}
		if id = node.InstanceID(n.Spec.ProviderID); id == "" {
			return untrue("node %s names no EC2 instance", name)
		}
	}
	target, err := d.inGroup(ctx, id)
	if err != nil {
		return err
	}
	if name := parameters["node"]; name != "" && !d.nodes.IsCalled(name, node.NamesOf(id, target.Instance.PrivateDNSName, d.report.Region)) {
		return untrue("node %s says that it is instance %s, which EC2 calls %s", name, id, target.Instance.PrivateDNSName)
	}
	if parameters["reason"] != "" { // it waits for its turn in the group
		parameters["asg-name"] = target.Group.Name
	}
	return nil
}

// checkReason is for recycles that wait for their turn: they are checked once more then.
func (d *Dispatcher) checkReason(ctx context.Context, kind event.Kind, parameters map[string]string) error {
	if _, err := at(parameters["reason-time"]); err != nil {
		return err
	}
	id, group := parameters["instance-id"], parameters["asg-name"]
	if id == "" {
		return d.checkGroup(ctx, group)
	}
	target, err := d.inGroup(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case group != "" && group != target.Group.Name:
		return untrue("instance %s is in Auto Scaling group %s, not in %s", id, target.Group.Name, group)
	case kind == event.Rebalance && !target.Instance.Spot:
		return untrue("instance %s is no Spot Instance", id)
	case kind == event.ScheduledChange:
		scheduled, err := d.asg.ScheduledEvents(ctx, id)
		if err != nil {
			return err
		}
		if len(scheduled) == 0 {
			return untrue("EC2 has no scheduled event for instance %s", id)
		}
	}
	parameters["asg-name"] = target.Group.Name
	return nil
}

// inGroup wants an instance of this cluster that serves in an Auto Scaling group.
func (d *Dispatcher) inGroup(ctx context.Context, id string) (asg.Target, error) {
	target, err := d.running(ctx, id, false)
	switch {
	case err != nil:
		return target, err
	case target.Group == nil:
		return target, untrue("instance %s belongs to no Auto Scaling group", id)
	}
	return target, d.checkOurs(ctx, target)
}

func (d *Dispatcher) checkGroup(ctx context.Context, name string) error {
	group, err := d.asg.Group(ctx, name)
	if errors.Is(err, asg.ErrNoGroup) {
		return untrue("%v", err)
	}
	if err != nil {
		return err
	}
	return d.checkMembers(ctx, "Auto Scaling group "+name, group)
}

// running wants an instance that runs or starts. young says that EC2 may not know it yet.
func (d *Dispatcher) running(ctx context.Context, id string, young bool) (asg.Target, error) {
	target, err := d.asg.Lookup(ctx, id, "")
	switch {
	case errors.Is(err, asg.ErrUnknown) && young:
		return target, fmt.Errorf("%w: %w", err, errNotYet)
	case errors.Is(err, asg.ErrUnknown):
		return target, untrue("instance %s %v", id, asg.ErrUnknown)
	case err == nil && target.Instance.State != "running" && target.Instance.State != "pending":
		return target, untrue("instance %s is %s", id, target.Instance.State)
	}
	return target, err
}

// checkOurs wants the instance to be this cluster's: its Node is here, or, as that may register late, another of its group.
func (d *Dispatcher) checkOurs(ctx context.Context, target asg.Target) error {
	i := target.Instance
	n, err := d.nodes.Find(ctx, i.ID, node.NamesOf(i.ID, i.PrivateDNSName, d.report.Region))
	if err != nil || n != nil {
		return err
	}
	group := asg.Group{}
	if target.Group != nil {
		group = *target.Group
	}
	return d.checkMembers(ctx, "instance "+i.ID, group)
}

func (d *Dispatcher) checkMembers(ctx context.Context, what string, group asg.Group) error {
	infos, err := d.named(ctx, group.MemberIDs())
	if err != nil {
		return err
	}
	if len(infos) > 0 {
		return nil
	}
	return untrue("%s has no Node in this cluster", what)
}

// named are the cluster's Nodes of some instances, which are called what EC2 calls their instances: a kubelet can say of its Node that
// it is any instance.
func (d *Dispatcher) named(ctx context.Context, ids []string) ([]asg.Launched, error) {
	if d.infos == nil {
		infos, err := d.nodes.Infos(ctx, "", nil)
		if err != nil {
			return nil, err
		}
		d.infos = infos
	}
	var said []string
	for _, i := range d.infos {
		if i.InstanceID != "" && !i.Karpenter && (ids == nil || slices.Contains(ids, i.InstanceID)) {
			said = append(said, i.InstanceID)
		}
	}
	known, err := d.asg.Launched(ctx, said)
	if err != nil {
		return nil, err
	}
	var named []asg.Launched
	for _, i := range d.infos {
		l, found := known[i.InstanceID]
		if found && d.nodes.IsCalled(i.Name, node.NamesOf(l.ID, l.PrivateDNSName, d.report.Region)) {
			named = append(named, l)
		}
	}
	return named, nil
}

// queue names a group so that a lock can be called after it.
func queue(group string) string {
	readable := strings.Map(func(r rune) rune {
		if ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || ('0' <= r && r <= '9') || r == '-' {
			return r
		}
		return '-'
	}, group)
	sum := sha256.Sum256([]byte(group))
	return readable[:min(len(readable), 40)] + "-" + hex.EncodeToString(sum[:4])
}
