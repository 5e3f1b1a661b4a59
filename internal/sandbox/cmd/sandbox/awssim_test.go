package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheSimulatorCallsTheClusterAsOftenAsItLikes(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": "http://localhost"}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := connect(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if limiter := client.CoreV1().RESTClient().GetRateLimiter(); limiter != nil && limiter.QPS() > 0 {
		t.Errorf("a limit of %v calls a second", limiter.QPS())
	}
}
