package cli_test

import (
	"context"
	"errors"
	"html"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eks-recycle/eks-recycle/internal/asg"
)

// awsWire is a process's client of the simulated AWS: the wire protocol, and the retries of the SDK, at a tenth of the
// SDK's cost. Its only purpose is to make tens of thousands of recycles affordable; the crash sweep and the suite on the
// local cluster go through the SDK itself.
type awsWire struct {
	transport http.RoundTripper
	region    string
	key       string // access key id: it tells the simulator who calls
	door      door
}

// client makes the calls of a recycle.
func (w *awsWire) client() asg.Client {
	return asg.Client{
		Reader: asg.GroupReader{
			DescribeAutoScalingGroups: w.DescribeAutoScalingGroups,
			DescribeScalingActivities: w.DescribeScalingActivities,
			DescribeInstanceRefreshes: w.DescribeInstanceRefreshes,
			DescribeLifecycleHooks:    w.DescribeLifecycleHooks,
		},
		Writer: asg.GroupWriter{
			EnterStandby:                        w.EnterStandby,
			ExitStandby:                         w.ExitStandby,
			DetachInstances:                     w.DetachInstances,
			TerminateInstanceInAutoScalingGroup: w.TerminateInstanceInAutoScalingGroup,
			SetDesiredCapacity:                  w.SetDesiredCapacity,
			SuspendProcesses:                    w.SuspendProcesses,
			ResumeProcesses:                     w.ResumeProcesses,
			RecordLifecycleActionHeartbeat:      w.RecordLifecycleActionHeartbeat,
			CompleteLifecycleAction:             w.CompleteLifecycleAction,
		},
		Instances: asg.InstanceAPI{
			DescribeInstances:         w.DescribeInstances,
			DescribeInstanceAttribute: w.DescribeInstanceAttribute,
			CreateTags:                w.CreateTags,
			DeleteTags:                w.DeleteTags,
			StopInstances:             w.StopInstances,
			TerminateInstances:        w.TerminateInstances,
		},
	}
}

// What the SDK does with a call that fails in a way that may pass (retry.NewStandard, with the attempts that the steps set).
const (
	wireAttempts  = 4
	wireFirstWait = 250 * time.Millisecond
)

func (w *awsWire) call(ctx context.Context, service, action string, form url.Values) (*element, error) {
	version := map[string]string{"autoscaling": "2011-01-01", "ec2": "2016-11-15"}[service]
	form.Set("Action", action)
	form.Set("Version", version)
	if p, ok := w.door.(*process); ok {
		p.checker.begins(p.uid, action)
	}
	wait := wireFirstWait
	for attempt := 1; ; attempt++ {
		var answer *element
		err := w.door.aws(ctx, service, action, form, func(ctx context.Context) (err error) {
			answer, err = w.once(ctx, service, form)
			return err
		})
		if err == nil {
			return answer, nil
		}
		if attempt == wireAttempts || !retriedBySDK(err) || !pause(ctx, wait) {
			return nil, &smithy.OperationError{ServiceID: service, OperationName: action, Err: err}
		}
		wait *= 2
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func retriedBySDK(err error) bool {
	var send *smithyhttp.RequestSendError
	var response *smithyhttp.ResponseError
	var api smithy.APIError
	if errors.As(err, &api) {
		if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled {
			return true
		}
	}
	return errors.As(err, &send) || (errors.As(err, &response) && response.HTTPStatusCode() >= http.StatusInternalServerError)
}

// refused is an answer of AWS that is an error, in the SDK's types.
func refused(status int, code, message string) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err:      &smithy.GenericAPIError{Code: code, Message: message},
	}
}

// dropped is a connection that breaks off.
func dropped() error { return &smithyhttp.RequestSendError{Err: io.ErrUnexpectedEOF} }

func (w *awsWire) once(ctx context.Context, service string, form url.Values) (*element, error) {
	body := form.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://awssim/", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header["Content-Type"] = []string{"application/x-www-form-urlencoded"}
	request.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + w.key + "/20000101/" + w.region + "/" + service + "/aws4_request"}
	response, err := w.transport.RoundTrip(request)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	var text strings.Builder
	text.Grow(int(response.ContentLength))
	if _, err := io.Copy(&text, response.Body); err != nil {
		return nil, err
	}
	answer := parseXML(text.String())
	if response.StatusCode != http.StatusOK {
		failure := answer.find("Error")
		return nil, refused(response.StatusCode, failure.text("Code"), failure.text("Message"))
	}
	return answer, nil
}

// element is an XML element; AWS puts nothing that matters into attributes.
type element struct {
	name, content string
	first, next   *element // its first child, and its next sibling
}

// parseXML makes elements by the dozen: an answer has hundreds, and they go together.
func parseXML(text string) *element {
	root := &element{}
	var spare []element
	type open struct{ parent, last *element }
	stack := append(make([]open, 0, 16), open{parent: root})
	for {
		start := strings.IndexByte(text, '<')
		if start < 0 || start+1 == len(text) {
			return root
		}
		top := &stack[len(stack)-1]
		end := start + strings.IndexByte(text[start:], '>')
		tag := text[start+1 : end]
		switch tag[0] {
		case '?':
		case '/':
			if top.last == nil {
				top.parent.content = text[:start]
				if strings.IndexByte(top.parent.content, '&') >= 0 {
					top.parent.content = html.UnescapeString(top.parent.content)
				}
			}
			stack = stack[:len(stack)-1]
		default:
			closed := tag[len(tag)-1] == '/'
			if space := strings.IndexAny(tag, " /"); space >= 0 {
				tag = tag[:space]
			}
			if len(spare) == 0 {
				spare = make([]element, 48)
			}
			child := &spare[0]
			child.name, spare = tag, spare[1:]
			if top.last == nil {
				top.parent.first = child
			} else {
				top.last.next = child
			}
			top.last = child
			if !closed {
				stack = append(stack, open{parent: child})
			}
		}
		text = text[end+1:]
	}
}

// find returns the first element of a name below this one, or nil.
func (e *element) find(name string) *element {
	for child := range e.children() {
		if child.name == name {
			return child
		}
		if found := child.find(name); found != nil {
			return found
		}
	}
	return nil
}

func (e *element) child(name string) *element {
	for child := range e.children() {
		if child.name == name {
			return child
		}
	}
	return nil
}

// children are those of an element that may be missing.
func (e *element) children() iter.Seq[*element] {
	return func(yield func(*element) bool) {
		if e == nil {
			return
		}
		for child := e.first; child != nil && yield(child); child = child.next {
		}
	}
}

func (e *element) text(name string) string {
	if c := e.child(name); c != nil {
		return c.content
	}
	return ""
}

func (e *element) list(name string) iter.Seq[*element] { return e.child(name).children() }

func (e *element) str(name string) *string {
	if c := e.child(name); c != nil {
		return &c.content
	}
	return nil
}

func (e *element) number(name string) *int32 {
	n, err := strconv.ParseInt(e.text(name), 10, 32)
	if err != nil {
		return nil
	}
	return aws.Int32(int32(n))
}

func (e *element) time(name string) *time.Time {
	t, err := time.Parse(time.RFC3339, e.text(name))
	if err != nil {
		return nil
	}
	return &t
}

func (w *awsWire) DescribeAutoScalingGroups(ctx context.Context, in *autoscaling.DescribeAutoScalingGroupsInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error) {
	answer, err := w.call(ctx, "autoscaling", "DescribeAutoScalingGroups", members("AutoScalingGroupNames", in.AutoScalingGroupNames))
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeAutoScalingGroupsOutput{}
	for e := range answer.find("AutoScalingGroups").children() {
		g := astypes.AutoScalingGroup{
			AutoScalingGroupName: e.str("AutoScalingGroupName"), MinSize: e.number("MinSize"), MaxSize: e.number("MaxSize"), DesiredCapacity: e.number("DesiredCapacity"),
		}
		for m := range e.list("Instances") {
			g.Instances = append(g.Instances, astypes.Instance{
				InstanceId: m.str("InstanceId"), LifecycleState: astypes.LifecycleState(m.text("LifecycleState")), HealthStatus: m.str("HealthStatus"),
				WeightedCapacity: m.str("WeightedCapacity"), AvailabilityZone: m.str("AvailabilityZone"),
			})
		}
		for p := range e.list("SuspendedProcesses") {
			g.SuspendedProcesses = append(g.SuspendedProcesses, astypes.SuspendedProcess{ProcessName: p.str("ProcessName"), SuspensionReason: p.str("SuspensionReason")})
		}
		for tag := range e.list("Tags") {
			g.Tags = append(g.Tags, astypes.TagDescription{Key: tag.str("Key"), Value: tag.str("Value")})
		}
		out.AutoScalingGroups = append(out.AutoScalingGroups, g)
	}
	return out, nil
}

func (w *awsWire) DescribeScalingActivities(ctx context.Context, in *autoscaling.DescribeScalingActivitiesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeScalingActivitiesOutput, error) {
	form := named(in.AutoScalingGroupName)
	if in.NextToken != nil {
		form.Set("NextToken", *in.NextToken)
	}
	if in.MaxRecords != nil {
		form.Set("MaxRecords", strconv.Itoa(int(*in.MaxRecords)))
	}
	answer, err := w.call(ctx, "autoscaling", "DescribeScalingActivities", form)
	if err != nil {
		return nil, err
	}
	result := answer.find("DescribeScalingActivitiesResult")
	out := &autoscaling.DescribeScalingActivitiesOutput{NextToken: result.str("NextToken")}
	for e := range result.list("Activities") {
		out.Activities = append(out.Activities, astypes.Activity{
			ActivityId: e.str("ActivityId"), Description: e.str("Description"), Cause: e.str("Cause"), StartTime: e.time("StartTime"),
			StatusCode: astypes.ScalingActivityStatusCode(e.text("StatusCode")), StatusMessage: e.str("StatusMessage"),
		})
	}
	return out, nil
}

func (w *awsWire) DescribeInstanceRefreshes(ctx context.Context, in *autoscaling.DescribeInstanceRefreshesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeInstanceRefreshesOutput, error) {
	answer, err := w.call(ctx, "autoscaling", "DescribeInstanceRefreshes", named(in.AutoScalingGroupName))
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeInstanceRefreshesOutput{}
	for e := range answer.find("InstanceRefreshes").children() {
		out.InstanceRefreshes = append(out.InstanceRefreshes, astypes.InstanceRefresh{
			InstanceRefreshId: e.str("InstanceRefreshId"), Status: astypes.InstanceRefreshStatus(e.text("Status")),
		})
	}
	return out, nil
}

func (w *awsWire) DescribeInstances(ctx context.Context, in *ec2.DescribeInstancesInput, _ ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	answer, err := w.call(ctx, "ec2", "DescribeInstances", numbered("InstanceId", in.InstanceIds))
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeInstancesOutput{}
	for r := range answer.find("reservationSet").children() {
		reservation := ec2types.Reservation{ReservationId: r.str("reservationId")}
		for e := range r.list("instancesSet") {
			i := ec2types.Instance{
				InstanceId: e.str("instanceId"), InstanceType: ec2types.InstanceType(e.text("instanceType")), PrivateDnsName: e.str("privateDnsName"),
				LaunchTime: e.time("launchTime"), InstanceLifecycle: ec2types.InstanceLifecycleType(e.text("instanceLifecycle")),
				RootDeviceType: ec2types.DeviceType(e.text("rootDeviceType")),
				State:          &ec2types.InstanceState{Name: ec2types.InstanceStateName(e.child("instanceState").text("name"))},
				Placement:      &ec2types.Placement{AvailabilityZone: e.child("placement").str("availabilityZone")},
			}
			for tag := range e.list("tagSet") {
				i.Tags = append(i.Tags, ec2types.Tag{Key: tag.str("key"), Value: tag.str("value")})
			}
			reservation.Instances = append(reservation.Instances, i)
		}
		out.Reservations = append(out.Reservations, reservation)
	}
	return out, nil
}

func named(group *string) url.Values {
	return url.Values{"AutoScalingGroupName": {aws.ToString(group)}}
}

func members(field string, values []string) url.Values {
	form := url.Values{}
	for i, value := range values {
		form.Set(field+".member."+strconv.Itoa(i+1), value)
	}
	return form
}

func numbered(field string, values []string) url.Values {
	form := url.Values{}
	for i, value := range values {
		form.Set(field+"."+strconv.Itoa(i+1), value)
	}
	return form
}

func (w *awsWire) DescribeAutoScalingInstances(ctx context.Context, in *autoscaling.DescribeAutoScalingInstancesInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingInstancesOutput, error) {
	_, err := w.call(ctx, "autoscaling", "DescribeAutoScalingInstances", numbered("InstanceIds.member", in.InstanceIds))
	return &autoscaling.DescribeAutoScalingInstancesOutput{}, err // no fleet has a warm pool
}

func (w *awsWire) DescribeLifecycleHooks(ctx context.Context, in *autoscaling.DescribeLifecycleHooksInput, _ ...func(*autoscaling.Options)) (*autoscaling.DescribeLifecycleHooksOutput, error) {
	answer, err := w.call(ctx, "autoscaling", "DescribeLifecycleHooks", named(in.AutoScalingGroupName))
	if err != nil {
		return nil, err
	}
	out := &autoscaling.DescribeLifecycleHooksOutput{}
	for e := range answer.find("LifecycleHooks").children() {
		out.LifecycleHooks = append(out.LifecycleHooks, astypes.LifecycleHook{LifecycleHookName: e.str("LifecycleHookName")})
	}
	return out, nil
}
