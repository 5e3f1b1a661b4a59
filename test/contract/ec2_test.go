package contract

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// nobody is an instance id of the right form that no instance has.
const nobody = "i-0123456789abcdef0"

func ec2Checks() []check {
	return []check{
		{"an instance id that no instance has is InvalidInstanceID.NotFound", func(w *world) {
			text := "The instance ID '" + nobody + "' does not exist"
			_, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{nobody}})
			w.refused(err, "InvalidInstanceID.NotFound", text)
			_, err = w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{nobody}})
			w.refused(err, "InvalidInstanceID.NotFound", text)
			_, err = w.ec2.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{nobody}})
			w.refused(err, "InvalidInstanceID.NotFound", text)
		}},
		{"a string that is no instance id is InvalidInstanceID.Malformed", func(w *world) {
			_, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{"i-nothing"}})
			w.refused(err, "InvalidInstanceID.Malformed", `Invalid id: "i-nothing"`)
		}},
		{"a dry run answers DryRunOperation and changes nothing", func(w *world) {
			id := w.inService(1)[0]
			_, err := w.ec2.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{tag("contract-dry", "run")}, DryRun: aws.Bool(true)})
			w.refused(err, "DryRunOperation", "")
			_, err = w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}, DryRun: aws.Bool(true)})
			w.refused(err, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
			_, err = w.ec2.TerminateInstances(w.ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}, DryRun: aws.Bool(true)})
			w.refused(err, "DryRunOperation", "")
			i := w.instance(id)
			w.want(i.State.Name, "running", "state")
			w.want(tagOf(i, "contract-dry"), "", "tag")
		}},
		{"an instance is found by a tag that was set on it, and by its state", func(w *world) {
			id := w.inService(1)[0]
			w.tag(id, "contract-colour", "blue")
			byTag := filter("tag:contract-colour", "blue")
			w.found([]string{id}, byTag)
			w.found([]string{id}, byTag, filter("instance-state-name", "pending", "running"))
			w.found(nil, byTag, filter("instance-state-name", "stopped"))
			w.found([]string{id}, filter("tag-key", "contract-colour"), w.ours())
			w.found([]string{id}, filter("tag:aws:autoscaling:groupName", w.name()))
		}},
		{"a tag that is set again has the new value", func(w *world) {
			id := w.inService(1)[0]
			w.tag(id, "contract-colour", "green")
			w.found([]string{id}, filter("tag:contract-colour", "green"))
			w.found(nil, filter("tag:contract-colour", "blue"), w.ours())
		}},
		{"DeleteTags removes a tag by its key, and one that is not there is no error", func(w *world) {
			id := w.inService(1)[0]
			for range 2 {
				_, err := w.ec2.DeleteTags(w.ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{{Key: aws.String("contract-colour")}}})
				w.ok(err)
			}
			w.found(nil, filter("tag-key", "contract-colour"), w.ours())
			w.want(tagOf(w.instance(id), tagKey), w.id, "another tag")
		}},
		{"DescribeInstanceStatus tells the state of an instance, and none of its scheduled events where there are none", func(w *world) {
			id := w.inService(1)[0]
			out, err := w.ec2.DescribeInstanceStatus(w.ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: []string{id}, IncludeAllInstances: aws.Bool(true)})
			w.ok(err)
			w.want(len(out.InstanceStatuses), 1, "instances")
			w.want(out.InstanceStatuses[0].InstanceState.Name, "running", "state")
			w.want(len(out.InstanceStatuses[0].Events), 0, "scheduled events")
			_, err = w.ec2.DescribeInstanceStatus(w.ctx, &ec2.DescribeInstanceStatusInput{InstanceIds: []string{nobody}, IncludeAllInstances: aws.Bool(true)})
			w.refused(err, "InvalidInstanceID.NotFound", "The instance ID '"+nobody+"' does not exist")
		}},
		{"DescribeInstances refuses ids together with a page size", func(w *world) {
			_, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{InstanceIds: w.members(), MaxResults: aws.Int32(5)})
			w.refused(err, "InvalidParameterCombination", "")
		}},
	}
}

func tag(key, value string) ec2types.Tag { return ec2types.Tag{Key: &key, Value: &value} }

func filter(name string, values ...string) ec2types.Filter {
	return ec2types.Filter{Name: &name, Values: values}
}

// ours keeps other instances of the account out.
func (w *world) ours() ec2types.Filter { return filter("tag:"+tagKey, w.id) }

func (w *world) tag(id, key, value string) {
	w.Helper()
	_, err := w.ec2.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{tag(key, value)}})
	w.ok(err)
}

// found waits until the filters find these instances: EC2 is eventually consistent.
func (w *world) found(want []string, filters ...ec2types.Filter) {
	w.Helper()
	w.eventually(fmt.Sprintf("the filters find %v", want), func() (bool, string) {
		out, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: filters})
		w.ok(err)
		var ids []string
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				ids = append(ids, aws.ToString(i.InstanceId))
			}
		}
		return fmt.Sprint(ids) == fmt.Sprint(want), fmt.Sprintf("they find %v", ids)
	})
}
