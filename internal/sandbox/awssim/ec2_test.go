package awssim_test

import (
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func (w *world) stop(ids ...string) error {
	_, err := w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: ids})
	return err
}

func TestInstances(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(w *world, id string)
	}{
		{"stop, and stop again", func(w *world, id string) {
			out, err := w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
			w.ok(err)
			w.want(out.StoppingInstances[0].PreviousState.Name, "running", "before")
			w.want(out.StoppingInstances[0].CurrentState.Name, "stopping", "now")
			w.ok(w.stop(id))
			w.pass(time.Minute)
			w.want(w.instance(id).State.Name, "stopped", "state")
			w.want(*w.instance(id).StateReason.Code, "Client.UserInitiatedShutdown", "reason")
			w.ok(w.stop(id))
		}},
		{"start", func(w *world, id string) {
			w.ok(w.stop(id))
			in := &ec2.StartInstancesInput{InstanceIds: []string{id}}
			_, err := w.ec2.StartInstances(w.ctx, in)
			w.refused(err, "IncorrectInstanceState", "The instance '%s' is not in a state from which it can be started.", id)
			w.pass(time.Minute)
			_, err = w.ec2.StartInstances(w.ctx, in)
			w.ok(err)
			w.pass(time.Minute)
			w.want(w.instance(id).State.Name, "running", "state")
		}},
		{"terminate, which takes the address and in an hour the record", func(w *world, id string) {
			in := &ec2.TerminateInstancesInput{InstanceIds: []string{id}}
			_, err := w.ec2.TerminateInstances(w.ctx, in)
			w.ok(err)
			w.want(w.instance(id).State.Name, "shutting-down", "state at once")
			w.pass(time.Minute)
			w.want(w.instance(id).State.Name, "terminated", "state")
			w.want(aws.ToString(w.instance(id).PrivateDnsName), "", "name")
			_, err = w.ec2.TerminateInstances(w.ctx, in)
			w.ok(err)
			w.refused(w.stop(id), "IncorrectInstanceState", "The instance '%s' is not in a state from which it can be stopped.", id)
			w.pass(time.Hour)
			w.refused(w.stop(id), "InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}},
		{"an instance store cannot be stopped", func(w *world, id string) {
			w.ok(w.sim.ChangeInstance(id, "instance-store", ""))
			w.refused(w.stop(id), "UnsupportedOperation", "The instance '%s' does not have an 'ebs' root device type and cannot be stopped.", id)
			w.want(w.instance(id).RootDeviceType, "instance-store", "root device")
		}},
		{"nor a spot instance", func(w *world, id string) {
			w.ok(w.sim.ChangeInstance(id, "", "spot"))
			w.refused(w.stop(id), "UnsupportedOperation", "You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.", id)
			w.want(w.instance(id).InstanceLifecycle, "spot", "lifecycle")
		}},
		{"ids that are none", func(w *world, id string) {
			w.refused(w.stop("i-123"), "InvalidInstanceID.Malformed", `Invalid id: "i-123"`)
			w.refused(w.stop("i-0000000000000000g"), "InvalidInstanceID.Malformed", `Invalid id: "i-0000000000000000g"`)
			w.refused(w.stop("i-00000000000000000"), "InvalidInstanceID.NotFound", "The instance ID 'i-00000000000000000' does not exist")
			w.refused(w.stop(id, "i-00000000000000000", "i-00000001"), "InvalidInstanceID.NotFound", "The instance IDs 'i-00000000000000000, i-00000001' do not exist")
			w.want(w.instance(id).State.Name, "running", "the right one")
		}},
		{"a dry run", func(w *world, id string) {
			_, err := w.ec2.StopInstances(w.ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}, DryRun: aws.Bool(true)})
			w.refused(err, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
			w.want(w.instance(id).State.Name, "running", "state")
		}},
		{"tags", func(w *world, id string) {
			tag := func(key, value string) error {
				_, err := w.ec2.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: &key, Value: &value}}})
				return err
			}
			w.ok(tag("k", "v"))
			w.refused(tag("aws:k", "v"), "InvalidParameterValue", "Value ( aws:k ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use")
			in := &ec2.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("resource-id"), Values: []string{id}}}}
			out, err := w.ec2.DescribeTags(w.ctx, in)
			w.ok(err)
			w.want(len(out.Tags), 1, "tags")
			_, err = w.ec2.DeleteTags(w.ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("other")}}})
			w.ok(err)
			w.want(len(w.instance(id).Tags), 1, "tags when the value differs")
			_, err = w.ec2.DeleteTags(w.ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("k")}}})
			w.ok(err)
			w.want(len(w.instance(id).Tags), 0, "tags in the end")
		}},
		{"status", func(w *world, id string) {
			in := &ec2.DescribeInstanceStatusInput{InstanceIds: []string{id}}
			out, err := w.ec2.DescribeInstanceStatus(w.ctx, in)
			w.ok(err)
			w.want(out.InstanceStatuses[0].InstanceStatus.Status, "ok", "status")
			w.ok(w.stop(id))
			out, err = w.ec2.DescribeInstanceStatus(w.ctx, in)
			w.ok(err)
			w.want(len(out.InstanceStatuses), 0, "statuses of what does not run")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				id, err := w.sim.AddInstance(awssim.InstanceSpec{})
				w.ok(err)
				w.want(w.instance(id).State.Name, "pending", "state at first")
				w.pass(time.Minute)
				c.story(w, id)
			})
		})
	}
}

func TestInstanceFilters(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 12, 11)
		w.ok(w.stop(ids[0]))
		w.pass(time.Second)
		for _, c := range []struct {
			filter, value string
			want          int
		}{
			{"tag:aws:autoscaling:groupName", name, 11},
			{"tag:aws:autoscaling:groupName", "work*", 11},
			{"tag:aws:autoscaling:groupName", "work?", 0},
			{"tag-key", "kubernetes.io/cluster/sandbox", 11},
			{"instance-state-name", "stopping", 1},
			{"instance-state-name", "running", 10},
			{"private-dns-name", *w.instance(ids[3]).PrivateDnsName, 1},
			{"availability-zone", region + "a", 4},
		} {
			in := &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), Filters: []types.Filter{{Name: &c.filter, Values: []string{c.value}}}}
			n := 0
			for pages := ec2.NewDescribeInstancesPaginator(w.ec2, in); pages.HasMorePages(); {
				page, err := pages.NextPage(w.ctx)
				w.ok(err)
				n += len(page.Reservations)
			}
			w.want(n, c.want, c.filter+"="+c.value)
		}
		_, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("colour"), Values: []string{"red"}}}})
		w.refused(err, "InvalidParameterValue", "The filter 'colour' is invalid")
	})
}

func TestACallHasAtMost200FilterValues(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ids := w.group(1, 2, 1)
		ask := func(n int) (int, error) {
			values := append(slices.Repeat([]string{"i-00000000000000000"}, n-1), ids[0])
			out, err := w.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("instance-id"), Values: values}}})
			if err != nil {
				return 0, err
			}
			return len(out.Reservations), nil
		}
		n, err := ask(200)
		w.ok(err)
		w.want(n, 1, "found by 200 values")
		_, err = ask(201)
		w.refused(err, "FilterLimitExceeded", "The maximum number of filter values specified on a single call is 200")
	})
}

func TestInstanceNames(t *testing.T) {
	for _, c := range []struct {
		region, naming, dns, node string
	}{
		{"eu-central-1", awssim.NamingIP, "ip-10-0-0-11.eu-central-1.compute.internal", "ip-10-0-0-11.eu-central-1.compute.internal"},
		{"us-east-1", awssim.NamingIP, "ip-10-0-0-11.ec2.internal", "ip-10-0-0-11.ec2.internal"},
		{"ap-southeast-1", awssim.NamingResource, "%s.ap-southeast-1.compute.internal", "%s.ap-southeast-1.compute.internal"},
		{"us-gov-west-1", awssim.NamingInstanceID, "ip-10-0-0-11.us-gov-west-1.compute.internal", "%s"},
	} {
		t.Run(c.region+" "+c.naming, func(t *testing.T) {
			inWorld(t, func(cfg *awssim.Config) { cfg.Region, cfg.NodeNaming = c.region, c.naming }, func(w *world) {
				w = newWorld(w.T, w.sim, c.region)
				id, err := w.sim.AddInstance(awssim.InstanceSpec{})
				w.ok(err)
				fill := func(format string) string {
					if format[0] == '%' {
						return id + format[2:]
					}
					return format
				}
				w.want(*w.instance(id).PrivateDnsName, fill(c.dns), "private DNS name")
				w.want(w.sim.State().Instances[0].NodeName, fill(c.node), "node name")
			})
		})
	}
}

func TestOtherServices(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.ClusterEndpoint, c.ClusterCA = "https://cluster", "Y2E=" }, func(w *world) {
		who, err := w.sts.GetCallerIdentity(w.ctx, &sts.GetCallerIdentityInput{})
		w.ok(err)
		w.want(*who.Arn, "arn:aws:iam::000000000000:user/sandbox", "caller")
		cluster, err := w.eks.DescribeCluster(w.ctx, &eks.DescribeClusterInput{Name: aws.String("sandbox")})
		w.ok(err)
		w.want(*cluster.Cluster.Endpoint, "https://cluster", "endpoint")
		w.want(*cluster.Cluster.CertificateAuthority.Data, "Y2E=", "certificate authority")
		_, err = w.eks.DescribeCluster(w.ctx, &eks.DescribeClusterInput{Name: aws.String("other")})
		w.refused(err, "ResourceNotFoundException", "No cluster found for name: other.")
		_, err = w.eks.ListClusters(w.ctx, &eks.ListClustersInput{})
		w.refused(err, "UnknownOperationException", "the simulator knows no GET /clusters")
		_, err = w.ec2.DescribeVpcs(w.ctx, &ec2.DescribeVpcsInput{})
		w.refused(err, "InvalidAction", "Could not find operation DescribeVpcs for version 2016-11-15")

		elsewhere := newWorld(w.T, w.sim, "eu-central")
		_, err = elsewhere.ec2.DescribeInstances(w.ctx, &ec2.DescribeInstancesInput{})
		w.refused(err, "SignatureDoesNotMatch", "Credential should be scoped to a valid region, not 'eu-central'. ")
		nobody, err := w.sim.HTTPClient().PostForm("http://awssim/", url.Values{"Action": {"DescribeInstances"}, "Version": {"2016-11-15"}})
		w.ok(err)
		body, err := io.ReadAll(nobody.Body)
		w.ok(err)
		w.want(nobody.StatusCode, 403, "status without credentials")
		if !strings.Contains(string(body), "<Response><Errors><Error><Code>MissingAuthenticationToken</Code>") {
			w.Errorf("answer without credentials is %s", body)
		}
	})
}
