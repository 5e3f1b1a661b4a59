package awserr_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eks"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// errorsOf makes errors as the SDK's clients return them, each from a call that was made and answered.
type errorsOf struct {
	sim *awssim.Sim
	cfg aws.Config
}

func newErrors() errorsOf {
	sim := awssim.New(awssim.Config{})
	return errorsOf{sim, config(sim.HTTPClient())}
}

func config(client aws.HTTPClient) aws.Config {
	return aws.Config{
		Region: "eu-central-1", HTTPClient: client, BaseEndpoint: aws.String("http://awssim"), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		}),
	}
}

// call makes the next call to a service fail with a code and message.
func (e errorsOf) call(t *testing.T, service, code, message string, status int) error {
	t.Helper()
	if err := e.sim.AddFaults(awssim.Fault{Service: service, Kind: awssim.FaultErrorBefore, Code: code, Message: message, Status: status}); err != nil {
		t.Fatal(err)
	}
	return call(t.Context(), service, e.cfg)
}

func call(ctx context.Context, service string, cfg aws.Config) error {
	var err error
	switch service {
	case "autoscaling":
		_, err = autoscaling.NewFromConfig(cfg).EnterStandby(ctx, &autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String("g"), ShouldDecrementDesiredCapacity: aws.Bool(false)})
	case "ec2":
		_, err = ec2.NewFromConfig(cfg).StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{"i-1"}})
	case "eks":
		_, err = eks.NewFromConfig(cfg).DescribeCluster(ctx, &eks.DescribeClusterInput{Name: aws.String("prod")})
	}
	return err
}

// predicates are all of the package, by a short name.
func predicates(err error) (holds []string) {
	for _, p := range []struct {
		name string
		is   func(error) bool
	}{
		{"not found", awserr.IsInstanceNotFound}, {"malformed", awserr.IsInstanceMalformed}, {"wrong state", awserr.IsWrongState},
		{"stop unsupported", awserr.IsStopUnsupported}, {"denied", awserr.IsDenied}, {"no cluster", awserr.IsClusterNotFound}, {"dry run", awserr.IsDryRunAllowed}, {"protected", awserr.IsProtected}, {"transient", awserr.IsTransient},
	} {
		if p.is(err) {
			holds = append(holds, p.name)
		}
	}
	return holds
}

func TestPredicatesOverErrorsOfTheSDK(t *testing.T) {
	e := newErrors()
	for _, c := range []struct {
		service, code, message string
		status                 int
		want                   string
	}{
		{"ec2", "InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", 400, "not found"},
		{"ec2", "InvalidInstanceID.Malformed", `Invalid id: "i-1"`, 400, "malformed"},
		{"ec2", "UnsupportedOperation", "You can't stop the Spot Instance 'i-1' because it is associated with a one-time Spot Instance request.", 400, "stop unsupported"},
		{"ec2", "UnauthorizedOperation", "You are not authorized to perform this operation.", 403, "denied"},
		{"ec2", "OperationNotPermitted", "The instance 'i-1' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.", 400, "protected"},
		{"ec2", "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412, "dry run"},
		{"ec2", "IncorrectInstanceState", "The instance 'i-1' is not in a state from which it can be stopped.", 400, "transient"},
		{"ec2", "RequestLimitExceeded", "Request limit exceeded.", 503, "transient"},
		{"ec2", "InternalError", "An internal error has occurred", 500, "transient"},
		{"autoscaling", "AccessDenied", "User is not authorized to perform: autoscaling:EnterStandby", 403, "denied"},
		{"autoscaling", "ValidationError", "The instance i-1 is not in InService.", 400, "wrong state"},
		{"autoscaling", "ValidationError", "The instance i-1 is not in InService or Standby.", 400, "wrong state"},
		{"autoscaling", "ValidationError", "The instance i-1 is not in Standby.", 400, "wrong state"},
		{"autoscaling", "ValidationError", "The instance i-1 is not part of Auto Scaling group g.", 400, "wrong state"},
		{"autoscaling", "ValidationError", "Instance Id not found - No managed instance found for instance ID: i-1", 400, "wrong state"},
		{"autoscaling", "ValidationError", "AutoScalingGroup name not found - AutoScalingGroup g not found", 400, ""},
		{"autoscaling", "ValidationError", "AutoScalingGroup g has min-size=1, max-size=3, and desired-size=1. To place into standby 1 instance, please update the AutoScalingGroup sizes appropriately.", 400, ""},
		{"autoscaling", "ScalingActivityInProgress", "Activity in progress", 400, "transient"},
		{"autoscaling", "ResourceContention", "You already have a pending update", 500, "transient"},
		{"autoscaling", "Throttling", "Rate exceeded", 400, "transient"},
		{"autoscaling", "ServiceUnavailable", "try later", 503, "transient"},
		{"autoscaling", "ExpiredToken", "The security token included in the request is expired", 403, ""},
		{"eks", "ResourceNotFoundException", "No cluster found for name: prod.", 404, "no cluster"},
		{"eks", "AccessDeniedException", "User is not authorized to perform: eks:DescribeCluster", 403, "denied"},
		{"eks", "ThrottlingException", "Rate exceeded", 400, "transient"},
		{"eks", "ServerException", "try later", 500, "transient"},
	} {
		t.Run(c.service+" "+c.code+" "+c.message, func(t *testing.T) {
			err := e.call(t, c.service, c.code, c.message, c.status)
			if awserr.Code(err) != c.code {
				t.Fatalf("code %q of %v", awserr.Code(err), err)
			}
			for _, wrapped := range []error{err, fmt.Errorf("putting instance on standby: %w", err), errors.Join(err)} {
				if got := strings.Join(predicates(wrapped), " "); got != c.want {
					t.Errorf("%v is %q, want %q", wrapped, got, c.want)
				}
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestErrorsOfTheNetwork(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx       context.Context //nolint:containedctx // of one call
		err       error
		transient bool
	}{
		"a refused connection":                           {t.Context(), &net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		"a connection that was closed":                   {t.Context(), errors.New("EOF"), true},
		"a name server that does not answer":             {t.Context(), &net.DNSError{Err: "i/o timeout", IsTimeout: true}, true},
		"a proxy whose certificate nobody knows":         {t.Context(), &tls.CertificateVerificationError{Err: errors.New("unknown authority")}, false},
		"a region that does not exist":                   {t.Context(), &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}, false},
		"a call that was given up because the step ends": {cancelled, context.Canceled, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := call(c.ctx, "ec2", config(roundTrip(func(*http.Request) (*http.Response, error) { return nil, c.err })))
			if got := awserr.IsTransient(err); err == nil || got != c.transient {
				t.Errorf("%v is transient: %t", err, got)
			}
			if awserr.Code(err) != "" {
				t.Errorf("it has code %q", awserr.Code(err))
			}
		})
	}
}

func TestNoCredentialsAreNothingToWaitFor(t *testing.T) {
	cfg := config(roundTrip(nil))
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no EC2 IMDS role found, operation error ec2imds: GetMetadata, request canceled")
	})
	if err := call(t.Context(), "ec2", cfg); err == nil || awserr.IsTransient(err) {
		t.Errorf("%v is transient", err)
	}
}

func TestNoErrorAndOtherErrors(t *testing.T) {
	for _, err := range []error{nil, errors.New("boom"), context.DeadlineExceeded} {
		if got := predicates(err); len(got) > 0 && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is %v", err, got)
		}
	}
}
