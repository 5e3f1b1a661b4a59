package argo4_test

import (
	"errors"
	"testing"

	argoerrors "github.com/argoproj/argo-workflows/v4/util/errors"
	"github.com/argoproj/argo-workflows/v4/util/logging"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Messages are those of the API server of Kubernetes 1.36 when Argo makes a pod. What Argo takes for transient leaves the step Pending; all
// else is an attempt that ended in Error, of which a step has as many as its retryStrategy allows.
func TestWhichPodErrorsCostAnAttempt(t *testing.T) {
	ctx := logging.WithLogger(t.Context(), logging.NewSlogLogger(logging.Error, logging.Text))
	pods := schema.GroupResource{Resource: "pods"}
	forbidden := func(why string) error { return apierrors.NewForbidden(pods, "recycle-standby-1", errors.New(why)) }
	webhook := func(why string) error {
		return apierrors.NewInternalError(errors.New(`failed calling webhook "pods.example.com": failed to call webhook: Post "https://pods.example.svc:443/?timeout=2s": ` + why))
	}
	for name, tt := range map[string]struct {
		err     error
		attempt bool
	}{
		"a full quota":                            {forbidden("exceeded quota: pods, requested: pods=1, used: pods=9, limited: pods=9"), false},
		"a webhook whose server is away":          {webhook("dial tcp 10.96.1.1:443: connect: connection refused"), false},
		"a webhook whose Service is missing":      {webhook(`service "pods" not found`), true},
		"a LimitRange":                            {forbidden("maximum cpu usage per Container is 8, but limit is 9"), true},
		"an admission policy":                     {forbidden("ValidatingAdmissionPolicy 'pods' with binding 'pods' denied request: pods need an owner"), true},
		"a service account that does not exist":   {forbidden(`error looking up service account eks-recycle/missing: serviceaccount "missing" not found`), true},
		"a priority class that does not exist":    {forbidden("no PriorityClass with name missing was found"), true},
		"a spec that is invalid":                  {apierrors.NewInvalid(schema.GroupKind{Kind: "Pod"}, "recycle-standby-1", field.ErrorList{field.Invalid(field.NewPath("spec", "affinity"), "", "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters")}), true},
		"an API server that has too much to do":   {apierrors.NewTooManyRequests("the server has received too many requests", 1), false},
		"an API server that does not answer soon": {apierrors.NewTimeoutError("request did not complete within requested timeout", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			if transient := argoerrors.IsTransientErrQuiet(ctx, tt.err); transient == tt.attempt {
				t.Errorf("costs an attempt: %t, want %t: %v", !transient, tt.attempt, tt.err)
			}
		})
	}
}
