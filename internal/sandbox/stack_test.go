package sandbox

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

func TestApplyStack(t *testing.T) {
	server := httptest.NewServer(awssim.New(awssim.DefaultConfig()))
	defer server.Close()
	file := filepath.Join("..", "..", "workflows", "components", "events", "aws", "events.yaml")
	for range 2 {
		stack, err := ApplyStack(t.Context(), server.URL, "events", file, map[string]string{"MaxReceiveCount": "2"})
		if err != nil {
			t.Fatal(err)
		}
		if got := stack.Outputs["QueueName"]; got != "eks-recycle" {
			t.Errorf("queue is %q", got)
		}
	}
	_, err := ApplyStack(t.Context(), server.URL, "events", file, map[string]string{"MaxReceiveCount": "many"})
	if err == nil || !strings.Contains(err.Error(), "MaxReceiveCount") {
		t.Errorf("got %v, want an error about the parameter", err)
	}
	if _, err := ApplyStack(t.Context(), server.URL, "events", "nowhere.yaml", nil); err == nil {
		t.Error("a template that is not there was applied")
	}
}
