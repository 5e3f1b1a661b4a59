// Package awserr names the AWS errors that the steps react to. It is the only place that knows AWS error codes and
// message texts; callers ask predicates. Auto Scaling answers most refusals with the one code ValidationError, so some
// predicates have to look at the message.
package awserr

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Code returns the AWS error code in err's chain, or "".
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func is(err error, codes ...string) bool { return slices.Contains(codes, Code(err)) }

func validation(err error, texts ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError" &&
		slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(api.ErrorMessage(), text) })
}

// IsInstanceNotFound reports that EC2 does not know the instance id.
func IsInstanceNotFound(err error) bool { return is(err, "InvalidInstanceID.NotFound") }

// IsInstanceMalformed reports that EC2 does not take the string for an instance id.
func IsInstanceMalformed(err error) bool { return is(err, "InvalidInstanceID.Malformed") }

// IsWrongState reports that Auto Scaling refused a call because of the instance's lifecycle state or because it has left
// its group meanwhile. It is also what a call gets that is repeated after it took effect: look at the instance again.
func IsWrongState(err error) bool {
	return validation(err, "is not in InService", "is not in Standby", "is not part of Auto Scaling group", "No managed instance found")
}

// IsGroupNotFound reports that Auto Scaling knows no group of the name.
func IsGroupNotFound(err error) bool { return validation(err, "AutoScalingGroup name not found") }

// IsNoLifecycleAction reports that Auto Scaling knows no waiting lifecycle action of that group, hook, instance and token.
func IsNoLifecycleAction(err error) bool {
	return validation(err, "No active Lifecycle Action found", "No Lifecycle Hook found")
}

// IsTemplateNotFound reports that EC2 knows no launch template of the name or id, or not in that version.
func IsTemplateNotFound(err error) bool {
	return is(err, "InvalidLaunchTemplateName.NotFoundException", "InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.VersionNotFound")
}

// IsExpired reports credentials that were good and need to be renewed.
func IsExpired(err error) bool {
	return is(err, "ExpiredToken", "ExpiredTokenException", "RequestExpired")
}

// IsNoCredentials reports that there are no credentials at all: the SDK asks the instance's role when it has found nothing
// else. Its error has no type of its own.
func IsNoCredentials(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no EC2 IMDS role found")
}

// IsStopUnsupported reports that the instance can only be terminated (instance-store root, one-time spot request).
func IsStopUnsupported(err error) bool { return is(err, "UnsupportedOperation") }

// IsDenied reports missing IAM permission.
func IsDenied(err error) bool {
	return is(err, "AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
}

// IsProtected reports termination protection: the instance attribute disableApiTermination.
func IsProtected(err error) bool { return is(err, "OperationNotPermitted") }

// IsDryRunAllowed is the answer to a call with DryRun that would have been carried out.
func IsDryRunAllowed(err error) bool { return is(err, "DryRunOperation") }

// IsClusterNotFound reports that EKS does not know the cluster in this account and region.
func IsClusterNotFound(err error) bool { return is(err, "ResourceNotFoundException") }

// IsTransient reports errors that go away by themselves: throttling, 5xx, network errors, and the two that Auto Scaling
// gives while it is busy with the group, which aws-sdk-go-v2 does not retry
// (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_EnterStandby.html, section Errors).
func IsTransient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if is(err, "ScalingActivityInProgress", "ResourceContention", "RequestLimitExceeded", "IncorrectInstanceState") {
		return true
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[Code(err)]; throttled {
		return true
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() >= 500 {
		return true
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) || IsNoCredentials(err) {
		return false // a proxy's certificate, or no credentials at all: waiting brings neither
	}
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound {
		return false // a region or endpoint that does not exist
	}
	var send *smithyhttp.RequestSendError
	var network net.Error
	return errors.As(err, &send) || (errors.As(err, &network) && network.Timeout())
}
