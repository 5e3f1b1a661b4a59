package kube_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/eks-recycle/eks-recycle/internal/kube"
)

// recorder answers each request with one object and keeps what was asked.
type recorder struct {
	answer runtime.Object
	asked  []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.asked = append(r.asked, strings.Join([]string{request.Method, request.URL.String(), request.Header.Get("Accept"), request.Header.Get("Content-Type"), string(body)}, " "))
	info, _ := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	if status, failed := r.answer.(*metav1.Status); failed {
		w.WriteHeader(int(status.Code))
	}
	_ = scheme.Codecs.EncoderForVersion(info.Serializer, corev1.SchemeGroupVersion).Encode(r.answer, w)
}

// Each call asks the API server for the same as client-go's own clientset.
func TestCallsAreThoseOfTheClientset(t *testing.T) {
	seconds, uid := int64(300), types.UID("u")
	list := metav1.ListOptions{LabelSelector: "app=batch", FieldSelector: "spec.nodeName=n", Limit: 10, Continue: "c", ResourceVersion: "7", TimeoutSeconds: &seconds}
	deletion := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "l"}}
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "team"}, DeleteOptions: &deletion}
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{GenerateName: "n."}}
	patch := []byte(`{"spec":{"unschedulable":true}}`)
	for name, c := range map[string]struct {
		answer runtime.Object
		ours   func(context.Context, *kube.Client) (any, error)
		theirs func(context.Context, kubernetes.Interface) (any, error)
	}{
		"get": {node,
			func(ctx context.Context, c *kube.Client) (any, error) {
				return c.Nodes().Get(ctx, "n", metav1.GetOptions{})
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().Nodes().Get(ctx, "n", metav1.GetOptions{})
			}},
		"patch": {node,
			func(ctx context.Context, c *kube.Client) (any, error) {
				return c.Nodes().Patch(ctx, "n", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "f"}, "status")
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().Nodes().Patch(ctx, "n", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "f"}, "status")
			}},
		"delete": {&metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK},
			func(ctx context.Context, c *kube.Client) (any, error) {
				return nil, c.Nodes().Delete(ctx, "n", deletion)
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return nil, c.CoreV1().Nodes().Delete(ctx, "n", deletion)
			}},
		"list all": {&corev1.PodList{Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p"}}}},
			func(ctx context.Context, c *kube.Client) (any, error) { return c.Pods("").List(ctx, list) },
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().Pods("").List(ctx, list)
			}},
		"list a namespace": {&corev1.PodList{},
			func(ctx context.Context, c *kube.Client) (any, error) { return c.Pods("team").List(ctx, list) },
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().Pods("team").List(ctx, list)
			}},
		"list budgets": {&policyv1.PodDisruptionBudgetList{Items: []policyv1.PodDisruptionBudget{{ObjectMeta: metav1.ObjectMeta{Name: "b"}}}},
			func(ctx context.Context, c *kube.Client) (any, error) { return c.Budgets("team").List(ctx, list) },
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.PolicyV1().PodDisruptionBudgets("team").List(ctx, list)
			}},
		"list attachments": {&storagev1.VolumeAttachmentList{Items: []storagev1.VolumeAttachment{{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}},
			func(ctx context.Context, c *kube.Client) (any, error) { return c.VolumeAttachments().List(ctx, list) },
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.StorageV1().VolumeAttachments().List(ctx, list)
			}},
		"get a claim": {&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}},
			func(ctx context.Context, c *kube.Client) (any, error) {
				return c.PersistentVolumeClaims("team").Get(ctx, "data", metav1.GetOptions{})
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().PersistentVolumeClaims("team").Get(ctx, "data", metav1.GetOptions{})
			}},
		"watch": {&metav1.Status{Status: metav1.StatusFailure, Code: http.StatusGone, Reason: metav1.StatusReasonExpired},
			func(ctx context.Context, c *kube.Client) (any, error) { return c.Pods("team").Watch(ctx, list) },
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().Pods("team").Watch(ctx, list)
			}},
		"evict": {&metav1.Status{Status: metav1.StatusFailure, Code: http.StatusConflict, Reason: metav1.StatusReasonConflict},
			func(ctx context.Context, c *kube.Client) (any, error) {
				return nil, c.Pods("team").EvictV1(ctx, eviction)
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return nil, c.CoreV1().Pods("team").EvictV1(ctx, eviction)
			}},
		"create": {event,
			func(ctx context.Context, c *kube.Client) (any, error) {
				return c.Events("default").Create(ctx, event, metav1.CreateOptions{})
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoreV1().Events("default").Create(ctx, event, metav1.CreateOptions{})
			}},
		"update": {lease,
			func(ctx context.Context, c *kube.Client) (any, error) {
				return c.Leases("claims").Update(ctx, lease, metav1.UpdateOptions{})
			},
			func(ctx context.Context, c kubernetes.Interface) (any, error) {
				return c.CoordinationV1().Leases("claims").Update(ctx, lease, metav1.UpdateOptions{})
			}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{answer: c.answer}
			server := httptest.NewServer(r)
			defer server.Close()
			config := &rest.Config{Host: server.URL, QPS: -1}
			own, err := kube.New(config)
			if err != nil {
				t.Fatal(err)
			}
			config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+",application/json"
			full := kubernetes.NewForConfigOrDie(config)
			got, gotErr := c.ours(t.Context(), own)
			want, wantErr := c.theirs(t.Context(), full)
			if apierrors.ReasonForError(gotErr) != apierrors.ReasonForError(wantErr) {
				t.Errorf("error %v, want %v", gotErr, wantErr)
			}
			if gotErr == nil && !equality.Semantic.DeepEqual(got, want) {
				t.Errorf("answer %v, want %v", got, want)
			}
			if len(r.asked) != 2 || r.asked[0] != r.asked[1] {
				t.Errorf("asked %q", r.asked)
			}
		})
	}
}

func TestTheServerSaysItsVersion(t *testing.T) {
	for body, want := range map[string]string{`{"gitVersion": "v1.36.3-eks-1"}`: "v1.36.3-eks-1", `no JSON`: ""} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/version" {
				_, _ = io.WriteString(w, body)
			}
		}))
		defer server.Close()
		c, err := kube.New(&rest.Config{Host: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		info, err := c.ServerVersion(t.Context())
		if (err == nil) != (want != "") || (err == nil && info.GitVersion != want) {
			t.Errorf("%s: %v, %v", body, info, err)
		}
	}
}
