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
	"github.com/eks-recycle/eks-recycle/internal/recycle"
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

// How long refusals may come in a row that were none before: a token is renewed in the background, and an API server that
// starts answers 403 until it has read its roles (a step can begin in that very moment).
const (
	credentialsExpiredFor = 10 * time.Minute
	forbiddenFor          = 2 * time.Minute
	forbiddenAtFirstFor   = 20 * time.Second
)

// denials is a row of refusals. A call that succeeds ends it: then the next one comes later than the wait loop would ask again.
type denials struct{ first, last time.Time }

func (d *denials) lastsFor(now time.Time, pause time.Duration) time.Duration {
	if d.first.IsZero() || now.Sub(d.last) > 2*max(pause, time.Minute) {
		d.first = now
	}
	d.last = now
	return now.Sub(d.first)
}

// transient is the package's, and for a while credentials that expired, and what is refused that was allowed. Credentials that
// were refused before anything has succeeded were never good.
func (i *invocation) transient(err error) bool {
	switch expired := apierrors.IsUnauthorized(err) || awserr.IsExpired(err); {
	case errors.Is(err, recycle.ErrUncertain):
		return true
	case expired:
		return i.denied.lastsFor(time.Now(), i.PollInterval) < credentialsExpiredFor && (i.report.Answered || i.report.Begun)
	case apierrors.IsForbidden(err):
		longest := forbiddenAtFirstFor
		if i.report.Begun {
			longest = forbiddenFor
		}
		return i.denied.lastsFor(time.Now(), i.PollInterval) < longest
	}
	return transient(err)
}

// transient reports errors of AWS and of the API server that go away by themselves.
func transient(err error) bool {
	return awserr.IsTransient(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsTimeout(err) ||
		utilnet.IsHTTP2ConnectionLost(err) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) ||
		errors.Is(err, claim.ErrNotRenewed)
}
