package cli_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// A cluster's audit log says who called, also where only Argo Workflows is asked; the client's own limit of calls a second
// comes with the name.
func TestEveryClientSaysWhoItIs(t *testing.T) {
	var said []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said = append(said, r.UserAgent())
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	clients, err := cli.Connect(t.Context(), cli.Options{Kubeconfig: kubeconfig, Region: "eu-central-1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = clients.Kube.Nodes.Get(t.Context(), "n", metav1.GetOptions{})
	_, _ = clients.Workflows.Ended(t.Context(), "eks-recycle/w", "")
	_, _ = clients.Workflows.Outcome(t.Context(), "eks-recycle", "w")
	if len(said) != 3 || said[0] != "eks-recycle" || said[1] != said[0] || said[2] != said[0] {
		t.Errorf("the callers are %q", said)
	}
}
