package contract

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// detachChecks take the instance on standby out of its group and to its end.
func detachChecks() []check {
	return []check{
		{"DetachInstances without decrement from Standby leaves desired capacity and the other members as they are", func(w *world) {
			others := w.inService(2)
			id := w.need(w.standby, "on standby")
			w.ok(w.detach(id))
			w.standby, w.detached = "", id
			w.becomes(id, "")
			w.want(w.desired(), 2, "desired capacity")
			w.want(w.inService(2), others, "in service")
			w.activity("Detaching EC2 instance", id)
		}},
		{"a detached instance runs on without Auto Scaling's tags, and keeps the others", func(w *world) {
			id := w.need(w.detached, "that was detached")
			w.eventually("the tags of Auto Scaling are gone", func() (bool, string) {
				tags := w.instance(id).Tags
				for _, t := range tags {
					if strings.HasPrefix(aws.ToString(t.Key), "aws:autoscaling:") {
						return false, aws.ToString(t.Key) + " is there"
					}
				}
				return true, ""
			})
			i := w.instance(id)
			w.want(i.State.Name, "running", "state")
			w.want(tagOf(i, tagKey), w.id, "a tag of ours")
		}},
		{"an instance that is detached is no member any more", func(w *world) {
			id := w.need(w.detached, "that was detached")
			w.refused(w.detach(id), "ValidationError", "The instance "+id+" is not part of Auto Scaling group "+w.name())
			w.refused(w.terminate(id), "ValidationError", "No managed instance found for instance ID: "+id)
		}},
		{"StopInstances stops a detached instance, and the second time is no error", func(w *world) {
			id := w.need(w.detached, "that was detached")
			w.ok(w.stop(id))
			w.ok(w.stop(id))
			w.instanceBecomes(id, "stopped")
			w.ok(w.stop(id))
			w.want(w.instance(id).State.Name, "stopped", "state")
		}},
		{"TerminateInstances terminates a stopped instance, and the second time is no error", func(w *world) {
			id := w.need(w.detached, "that was detached")
			w.ok(w.end(id))
			w.ok(w.end(id))
			w.instanceBecomes(id, "terminated")
			w.ok(w.end(id))
		}},
		{"a terminated instance cannot be stopped", func(w *world) {
			id := w.need(w.detached, "that was detached")
			w.refused(w.stop(id), "IncorrectInstanceState", "is not in a state from which it can be stopped")
		}},
	}
}

func (w *world) stop(id string) error {
	_, err := w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
	return err
}

func (w *world) end(id string) error {
	_, err := w.ec2.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	return err
}

func (w *world) instanceBecomes(id, state string) {
	w.Helper()
	w.soon("the state of instance "+id, state, func() any { return w.instance(id).State.Name })
}
