package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// With the component report, a fleet stores a page of itself in the artifact repository, and Argo's server shows it under its policy.
func TestAFleetStoresItsReport(t *testing.T) {
	t.Parallel()
	s := given(t, "report")
	store := s.bucket()
	template := s.ownTemplate("recycle-fleet", func(wt *wfv1.WorkflowTemplate) {
		component := s.withReport()
		i := slices.IndexFunc(wt.Spec.Templates, func(t wfv1.Template) bool { return t.Name == "finish" })
		j := slices.IndexFunc(component.Spec.Templates, func(t wfv1.Template) bool { return t.Name == "finish" })
		finish := &wt.Spec.Templates[i]
		finish.Container.Args, finish.Outputs.Artifacts = component.Spec.Templates[j].Container.Args, component.Spec.Templates[j].Outputs.Artifacts
		finish.Outputs.Artifacts[0].S3 = store.artifact()
	})
	f := s.submitFrom("workflowtemplate/"+template, "asg="+s.group, "limit=1")
	f.ends(wfv1.WorkflowSucceeded)

	finish := ofTemplate(*f.get(), "finish")
	if len(finish) != 1 || finish[0].Outputs == nil || len(finish[0].Outputs.Artifacts) == 0 {
		t.Fatalf("the exit handler has no artifact: %+v", finish)
	}
	token := s.submitter()
	for _, args := range [][]string{ // who opens artifacts reads the key of the bucket
		{"create", "role", "-n", s.cluster.Namespace, s.group, "--verb=get", "--resource=secrets", "--resource-name=" + s.group},
		{"create", "rolebinding", "-n", s.cluster.Namespace, s.group, "--role=" + s.group, "--serviceaccount=" + s.namespace + ":submitter"},
	} {
		if out, err := s.command(s.Context(), append([]string{s.cluster.Kubectl}, args...)...); err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
	}
	server := s.argoServer(token)
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet,
		strings.TrimSuffix(server.url, "api/v1/")+"artifact-files/"+s.cluster.Namespace+"/workflows/"+f.name+"/"+finish[0].ID+"/outputs/report", nil)
	s.must(err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	s.must(err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	s.must(err)
	if response.StatusCode != http.StatusOK || !strings.Contains(response.Header.Get("Content-Security-Policy"), "style-src 'self' 'unsafe-inline'") {
		t.Fatalf("%s, policy %q: %.300s", response.Status, response.Header.Get("Content-Security-Policy"), page)
	}
	for _, text := range []string{"<title>Fleet " + f.name + "</title>", s.group, "Capacity", "standby", "retire", "recycled"} {
		if !bytes.Contains(page, []byte(text)) {
			t.Errorf("the page has no %q", text)
		}
	}
}

// withReport is recycle-fleet as the example with reports has it.
func (s *scenario) withReport() (wt wfv1.WorkflowTemplate) {
	s.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../../workflows/overlays/example-report")
	s.must(err)
	for _, r := range rendered.Resources() {
		if r.GetKind() == "WorkflowTemplate" && r.GetName() == "recycle-fleet" {
			text, err := r.AsYAML()
			s.must(err)
			s.must(yaml.Unmarshal(text, &wt))
		}
	}
	return wt
}

// bucket is a bucket of S3, as far as Argo uses one.
type bucket struct {
	*scenario
	endpoint string
	mu       sync.Mutex
	objects  map[string][]byte
}

func (s *scenario) bucket() *bucket {
	s.Helper()
	b := &bucket{scenario: s, objects: map[string][]byte{}}
	inPods, err := url.Parse(s.cluster.AWSEndpointInPods)
	s.must(err)
	listener, err := net.Listen("tcp", net.JoinHostPort(inPods.Hostname(), "0"))
	s.must(err)
	server := httptest.NewUnstartedServer(b)
	s.must(server.Listener.Close())
	server.Listener = listener
	server.Start()
	s.Cleanup(server.Close)
	b.endpoint = listener.Addr().String()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: s.group, Namespace: s.cluster.Namespace}, StringData: map[string]string{"key": "key", "secret": "secret"}}
	_, err = s.kube.CoreV1().Secrets(s.cluster.Namespace).Create(s.Context(), secret, metav1.CreateOptions{})
	s.must(err)
	s.Cleanup(func() {
		if out, err := s.command(context.Background(), s.cluster.Kubectl, "delete", "secret,role,rolebinding", "-n", s.cluster.Namespace, s.group, "--ignore-not-found"); err != nil {
			s.Errorf("%v\n%s", err, out)
		}
	})
	return b
}

func (b *bucket) artifact() *wfv1.S3Artifact {
	insecure := true
	key := func(name string) *corev1.SecretKeySelector {
		return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: b.group}, Key: name}
	}
	return &wfv1.S3Artifact{Key: "{{workflow.name}}/report.html", S3Bucket: wfv1.S3Bucket{
		Endpoint: b.endpoint, Bucket: "reports", Region: "eu-central-1", Insecure: &insecure, AccessKeySecret: key("key"), SecretKeySecret: key("secret"),
	}}
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	content, there := b.objects[r.URL.Path]
	w.Header().Set("ETag", `"1"`)
	switch {
	case r.Method == http.MethodPut:
		content, err := object(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.objects[r.URL.Path] = content
	case r.URL.Query().Has("list-type"): // whether the key is a folder: it is none
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>reports</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
	case !there:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "<Error><Code>NoSuchKey</Code></Error>")
	default:
		w.Header().Set("Last-Modified", "Thu, 26 Nov 2026 22:00:00 GMT")
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(content)
		}
	}
}

// object is the body of an upload, which is cut into chunks that are signed one by one
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html).
func object(r *http.Request) (content []byte, err error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	body := bufio.NewReader(r.Body)
	for {
		line, err := body.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 32)
		if err != nil || n == 0 {
			return content, err
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(body, chunk); err != nil {
			return nil, err
		}
		content = append(content, chunk[:n]...)
	}
}
