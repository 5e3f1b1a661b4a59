package asg

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Volumes are the EBS volumes of an instance by what its end does to them: those that go with it, and those that stay and
// are paid for on.
type Volumes struct {
	Freed, Stay       int
	FreedGiB, StayGiB int
}

// Add sums up.
func (v Volumes) Add(w Volumes) Volumes {
	return Volumes{v.Freed + w.Freed, v.Stay + w.Stay, v.FreedGiB + w.FreedGiB, v.StayGiB + w.StayGiB}
}

// VolumesOf counts the volumes of instances, by id.
func (c *Client) VolumesOf(ctx context.Context, ids []string) (map[string]Volumes, error) {
	all := map[string]Volumes{}
	for part := range slices.Chunk(ids, idsACall) {
		in := &ec2.DescribeVolumesInput{Filters: []ec2types.Filter{{Name: aws.String("attachment.instance-id"), Values: part}}}
		for more := true; more; more = aws.ToString(in.NextToken) != "" {
			page, err := c.Instances.DescribeVolumes(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("describing volumes: %w", err)
			}
			for _, v := range page.Volumes {
				count(all, v)
			}
			in.NextToken = page.NextToken
		}
	}
	return all, nil
}

// count books a volume under each instance that it is attached to. One that several share outlives any one of them.
func count(all map[string]Volumes, v ec2types.Volume) {
	for _, a := range v.Attachments {
		id, size := aws.ToString(a.InstanceId), int(aws.ToInt32(v.Size))
		of := Volumes{Stay: 1, StayGiB: size}
		if aws.ToBool(a.DeleteOnTermination) && len(v.Attachments) == 1 {
			of = Volumes{Freed: 1, FreedGiB: size}
		}
		all[id] = all[id].Add(of)
	}
}
