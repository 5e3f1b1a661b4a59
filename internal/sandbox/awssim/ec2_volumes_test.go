package awssim_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// volumes lists what passes a filter, as "50 GiB, in-use, goes".
func (w *world) volumes(filter string, values ...string) (out []string) {
	w.Helper()
	in := &ec2.DescribeVolumesInput{MaxResults: aws.Int32(5), Filters: []types.Filter{{Name: &filter, Values: values}}}
	for pages := ec2.NewDescribeVolumesPaginator(w.ec2, in); pages.HasMorePages(); {
		page, err := pages.NextPage(w.ctx)
		w.ok(err)
		for _, v := range page.Volumes {
			text := fmt.Sprintf("%d GiB, %s", *v.Size, v.State)
			if len(v.Attachments) > 0 && *v.Attachments[0].DeleteOnTermination {
				text += ", goes"
			}
			out = append(out, text)
		}
	}
	return out
}

func (w *world) patch(id, body string, status int) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.ctx, http.MethodPatch, "http://awssim/_sim/instances/"+id, bytes.NewBufferString(body))
	w.ok(err)
	answer, err := w.sim.HTTPClient().Do(request)
	w.ok(err)
	defer answer.Body.Close()
	w.want(answer.StatusCode, status, "status of PATCH "+body)
}

func TestVolumes(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.RootVolumeSize = 30 }, func(w *world) {
		ids := w.group(1, 9, 7)
		w.want(w.volumes("attachment.instance-id", ids[0]), []string{"30 GiB, in-use, goes"}, "the root volume")
		w.want(len(w.volumes("attachment.instance-id", ids...)), 7, "all, in two pages")

		w.patch(ids[0], `{"volumes":[{"size":500,"deleteOnTermination":false},{"size":1,"deleteOnTermination":true}]}`, 204)
		w.patch(ids[0], `{"volumes":[{"size":0}]}`, 400)
		w.want(w.volumes("attachment.instance-id", ids[0]), []string{"30 GiB, in-use, goes", "500 GiB, in-use", "1 GiB, in-use, goes"}, "with two added")
		w.want(w.volumes("attachment.delete-on-termination", "false"), []string{"500 GiB, in-use"}, "those that stay")
		w.ok(w.sim.ChangeInstance(ids[1], "instance-store", ""))
		w.want(len(w.volumes("attachment.instance-id", ids[1])), 0, "volumes of an instance store")

		w.ok(w.sim.ActOutside(ids[0], "terminate"))
		w.pass(time.Minute)
		w.want(len(w.volumes("attachment.instance-id", ids[0])), 0, "attached after the end")
		w.want(w.volumes("status", "available"), []string{"500 GiB, available"}, "what stays")

		_, err := w.ec2.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{"vol-1"}})
		w.refused(err, "InvalidVolume.NotFound", "The volume 'vol-1' does not exist.")
		_, err = w.ec2.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: slices.Repeat([]string{"i-0"}, 201)}}})
		w.refused(err, "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200")
		_, err = w.ec2.DescribeVolumes(w.ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("colour"), Values: []string{"red"}}}})
		w.refused(err, "InvalidParameterValue", "The filter 'colour' is invalid")
	})
}

func TestTerminationProtection(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id, err := w.sim.AddInstance(awssim.InstanceSpec{})
		w.ok(err)
		w.pass(time.Minute)
		in := &ec2.TerminateInstancesInput{InstanceIds: []string{id}}
		w.patch(id, `{"disableApiTermination":true}`, 204)
		_, err = w.ec2.TerminateInstances(w.ctx, in)
		w.refused(err, "OperationNotPermitted", "The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", id)
		w.ok(w.stop(id))
		w.pass(time.Minute)
		w.want(w.instance(id).State.Name, "stopped", "state: stopping is another matter")
		w.patch(id, `{"disableApiTermination":false}`, 204)
		_, err = w.ec2.TerminateInstances(w.ctx, in)
		w.ok(err)
	})
}

// EC2 shows the last start as the time of launch.
func TestLaunchTimeIsThatOfTheLastStart(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id, err := w.sim.AddInstance(awssim.InstanceSpec{})
		w.ok(err)
		w.pass(time.Minute)
		launched := *w.instance(id).LaunchTime
		w.ok(w.stop(id))
		w.pass(time.Hour)
		w.want(*w.instance(id).LaunchTime, launched, "time of launch once stopped")
		w.ok(w.sim.ActOutside(id, "start"))
		w.want(w.instance(id).LaunchTime.Sub(launched) >= time.Hour, true, "launched anew")
		w.patch(id, `{"launchTime":"1999-12-31T12:00:00Z"}`, 204)
		w.want(w.instance(id).LaunchTime.Format(time.DateOnly), "1999-12-31", "launched as told")
	})
}
