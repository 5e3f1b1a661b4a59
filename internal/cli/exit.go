package cli

import (
	"context"
	"errors"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// reportedError is an error that has been shown already.
type reportedError struct{ error }

func (e reportedError) Unwrap() error { return e.error }

// exitCode is the only place that maps errors to exit codes.
func exitCode(err error) int {
	var usage usageError
	var notDone *poll.NotDoneError
	switch {
	case err == nil:
		return argo.ExitDone
	case errors.As(err, &usage):
		return argo.ExitUsage
	case errors.Is(err, claim.ErrLost):
		return argo.ExitFailed
	case errors.As(err, &notDone), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), transient(err):
		return argo.ExitNotYet
	default:
		return argo.ExitFailed
	}
}

// authPatience is how long credentials may be refused that were good before: a token is renewed in the background.
const authPatience = 5 * time.Minute

// transient is the package's, and for a while credentials that expired. At the very start they were never good.
func (r *invocation) transient(err error) bool {
	if !apierrors.IsUnauthorized(err) && !awserr.IsExpired(err) {
		return transient(err)
	}
	now := time.Now()
	if r.denied.IsZero() || now.Sub(r.denied) > 2*authPatience {
		r.denied = now
	}
	return r.report.InstanceID != "" && now.Sub(r.denied) < authPatience
}

// transient reports errors of AWS and of the API server that go away by themselves.
func transient(err error) bool {
	return awserr.IsTransient(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err) ||
		utilnet.IsHTTP2ConnectionLost(err) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, claim.ErrNotRenewed)
}
