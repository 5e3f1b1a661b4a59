package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func TestRequireRootOnLinux(t *testing.T) {
	for _, tt := range []struct {
		name, goos string
		uid        int
		want       string
	}{
		{"root on Linux", "linux", 0, ""},
		{"a user on Linux", "linux", 1000, "needs root"},
		{"root elsewhere", "darwin", 0, "needs Linux"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := requireRootOnLinux(tt.goos, tt.uid)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || hint.Of(err) == "" {
				t.Errorf("got %v with hint %q, want one line with %q and a hint", err, hint.Of(err), tt.want)
			}
		})
	}
}

func TestRequirementIsFoundInItsFolders(t *testing.T) {
	dir := t.TempDir()
	r := requirement{program: "bridge", folders: []string{"/nonexistent", dir}, pkg: "containernetworking-plugins"}
	if _, err := r.find(); err == nil {
		t.Error("found a program that is not there")
	}
	path := filepath.Join(dir, "bridge")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.find(); err == nil {
		t.Error("found a file that cannot be run")
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := r.find(); err != nil || got != path {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAwaitPortsWaitsForAPortToBeFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := listener.Addr().String()
	err = awaitPorts(t.Context(), 50*time.Millisecond, []string{a})
	if err == nil || !strings.Contains(err.Error(), a) || hint.Of(err) == "" {
		t.Errorf("got %v with hint %q, want the address and a hint", err, hint.Of(err))
	}

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitPorts(canceled, time.Minute, []string{a}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}

	time.AfterFunc(150*time.Millisecond, func() { listener.Close() })
	if err := awaitPorts(t.Context(), 10*time.Second, []string{a}); err != nil {
		t.Error(err)
	}
}

func TestFindRoot(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "go.mod"), "module "+modulePath+"\n\ngo 1.25\n")
	nested := filepath.Join(root, "internal", "sandbox", "programs", "etcd")
	writeFile(t, filepath.Join(nested, "go.mod"), "module "+modulePath+"/internal/sandbox/programs/etcd\n")
	if got, err := findRoot(nested); err != nil || got != root {
		t.Errorf("got %q, %v, want %q", got, err, root)
	}
	if _, err := findRoot(t.TempDir()); err == nil || hint.Of(err) == "" {
		t.Errorf("outside a checkout: got %v, want an error with a hint", err)
	}
}
