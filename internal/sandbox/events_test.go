package sandbox

import (
	"path/filepath"
	"testing"
)

// The sandbox takes itself for ready when there are so many subscriptions.
func TestTriggersOfAllSensorsCount(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := sandbox{layout: layout{root: root}}.renderWorkflows("sandbox-events")
	if err != nil {
		t.Fatal(err)
	}
	if got := triggers(objects); got != 5 {
		t.Errorf("counted %d triggers, want 5", got)
	}
}
