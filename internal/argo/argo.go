// Package argo is a step's side of Argo Workflows: output parameters as files, the progress file, the exit codes that the
// template's retryStrategy reacts to, how long an attempt waits, and whether a workflow still runs. It imports nothing of Argo.
package argo

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Exit codes. Argo's executor keeps 64 for itself, 137 and 143 come from signals.
const (
	ExitDone   = 0
	ExitFailed = 1  // do not retry
	ExitUsage  = 2  // bad usage or input
	ExitNotYet = 75 // run me again (EX_TEMPFAIL)
)

// Window is how long an attempt waits: twice as long as the one before, up to 72 times the first. With a first one of 20 minutes,
// 14 days take 20 attempts, each of which is a pod and 1.5 KB of the Workflow.
func Window(first time.Duration, attempt string) time.Duration {
	n, err := strconv.Atoi(attempt)
	if err != nil {
		return first
	}
	longest := 72 * first
	for w := first; ; w *= 2 {
		if n--; n < 0 || w >= longest {
			return min(w, longest)
		}
	}
}

// WriteOutputs writes each value to a file of its key's name, atomically: Argo reads them also after a failed attempt.
// The directory is created if need be.
func WriteOutputs(dir string, values map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // Argo's wait container may read it as another user
		return fmt.Errorf("creating the directory for output parameters: %w", err)
	}
	for name, value := range values {
		if err := writeFile(filepath.Join(dir, name), value); err != nil {
			return fmt.Errorf("writing output parameter %q: %w", name, err)
		}
	}
	return nil
}

// Progress writes done/total to Argo's progress file. Argo wants 0 ≤ done ≤ total and total > 0.
func Progress(path string, done, total int) error {
	if path == "" || total <= 0 {
		return nil
	}
	if err := writeFile(path, fmt.Sprintf("%d/%d", min(max(done, 0), total), total)); err != nil {
		return fmt.Errorf("writing progress: %w", err)
	}
	return nil
}

func writeFile(path, content string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // gone after the rename
	if _, err := temporary.WriteString(content); err != nil {
		return err
	}
	if err := temporary.Chmod(0o644); err != nil {
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
