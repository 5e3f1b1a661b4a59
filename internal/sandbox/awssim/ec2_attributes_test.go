package awssim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// end is EC2's termination, not Auto Scaling's.
func (w *world) end(id string) error {
	_, err := w.ec2.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
	return err
}

// protection reads both attributes: of termination, and of stop.
func (w *world) protection(id string) (termination, stop bool) {
	w.Helper()
	read := func(name types.InstanceAttributeName) *ec2.DescribeInstanceAttributeOutput {
		out, err := w.ec2.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: name})
		w.ok(err)
		return out
	}
	return *read(types.InstanceAttributeNameDisableApiTermination).DisableApiTermination.Value, *read(types.InstanceAttributeNameDisableApiStop).DisableApiStop.Value
}

func TestProtectionFromStopAndTermination(t *testing.T) {
	yes := &types.AttributeBooleanValue{Value: aws.Bool(true)}
	for _, c := range []struct {
		name  string
		story func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error)
	}{
		{"stop protection refuses both, in the words of AWS", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			w.ok(modify(ec2.ModifyInstanceAttributeInput{DisableApiStop: yes}))
			w.refused(w.stop(id), "OperationNotPermitted", "The instance '%s' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.", id)
			w.refused(w.end(id), "OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiStop' instance attribute and try again.", id)
			w.want(w.instance(id).State.Name, "running", "state")
		}},
		{"termination protection refuses only the termination", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			w.ok(modify(ec2.ModifyInstanceAttributeInput{DisableApiTermination: yes}))
			w.refused(w.end(id), "OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", id)
			w.ok(w.stop(id))
		}},
		{"both are described, and taken off again by name and value", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			termination, stop := w.protection(id)
			w.want([]bool{termination, stop}, []bool{false, false}, "at first")
			w.ok(modify(ec2.ModifyInstanceAttributeInput{DisableApiTermination: yes}))
			w.ok(modify(ec2.ModifyInstanceAttributeInput{Attribute: types.InstanceAttributeNameDisableApiStop, Value: aws.String("true")}))
			termination, stop = w.protection(id)
			w.want([]bool{termination, stop}, []bool{true, true}, "then")
			w.ok(modify(ec2.ModifyInstanceAttributeInput{Attribute: types.InstanceAttributeNameDisableApiStop, Value: aws.String("false")}))
			w.ok(modify(ec2.ModifyInstanceAttributeInput{Attribute: types.InstanceAttributeNameDisableApiTermination, Value: aws.String("false")}))
			w.ok(w.end(id))
		}},
		{"a dry run says nothing of them", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			w.ok(w.sim.ProtectFromStop(id, true))
			_, err := w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}, DryRun: aws.Bool(true)})
			w.refused(err, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
			_, err = w.ec2.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}, DryRun: aws.Bool(true)})
			w.refused(err, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
		}},
		{"the control API sets both", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			req, err := http.NewRequestWithContext(w.ctx, http.MethodPatch, "http://awssim/_sim/instances/"+id, strings.NewReader(`{"disableApiStop":true,"disableApiTermination":true}`))
			w.ok(err)
			resp, err := w.sim.HTTPClient().Do(req)
			w.ok(err)
			w.ok(resp.Body.Close())
			w.want(resp.StatusCode, http.StatusNoContent, "status")
			termination, stop := w.protection(id)
			w.want([]bool{termination, stop}, []bool{true, true}, "attributes")
		}},
		{"one call changes one attribute, and none is refused", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			w.refused(modify(ec2.ModifyInstanceAttributeInput{DisableApiTermination: yes, DisableApiStop: yes}), "InvalidParameterCombination",
				"Fields for multiple attribute types specified: disableApiTermination, disableApiStop")
			w.refused(modify(ec2.ModifyInstanceAttributeInput{}), "InvalidParameterCombination", "No attributes specified.")
		}},
		{"an attribute that is not played is refused", func(w *world, id string, modify func(ec2.ModifyInstanceAttributeInput) error) {
			_, err := w.ec2.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: types.InstanceAttributeNameUserData})
			w.refused(err, "InvalidParameterValue", "Value (userData) for parameter attribute is invalid. Unknown attribute.")
		}},
		{"an unknown instance has no attributes", func(w *world, _ string, _ func(ec2.ModifyInstanceAttributeInput) error) {
			_, err := w.ec2.DescribeInstanceAttribute(w.ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: aws.String("i-00000000000000000"), Attribute: types.InstanceAttributeNameDisableApiStop})
			w.refused(err, "InvalidInstanceID.NotFound", "The instance ID 'i-00000000000000000' does not exist")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id := w.group(1, 2, 1)[0]
				c.story(w, id, func(in ec2.ModifyInstanceAttributeInput) error {
					in.InstanceId = &id
					_, err := w.ec2.ModifyInstanceAttribute(w.ctx, &in)
					return err
				})
			})
		})
	}
}

func TestAutoScalingTerminatesWhatEC2Protects(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(0, 3, 2)
		for _, id := range ids {
			w.ok(w.sim.ProtectInstance(id, true))
			w.ok(w.sim.ProtectFromStop(id, true))
		}
		w.ok(w.terminate(true, ids[0]))
		w.desired(0)
		w.pass(5 * time.Minute)
		for _, id := range ids {
			w.want(w.instance(id).State.Name, "terminated", "state")
			w.ok(w.end(id))
		}
	})
}
