package sandbox

import (
	"path/filepath"
	"testing"
)

// The sandbox takes itself for ready when there are so many subscriptions.
func TestTriggersOfTheSensorCount(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := sandbox{layout: layout{root: root}}.renderWorkflows("sandbox-events")
	if err != nil {
		t.Fatal(err)
	}
	if got := triggers(objects); got != 3 {
		t.Errorf("counted %d triggers, want 3", got)
	}
}
