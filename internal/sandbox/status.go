package sandbox

import (
	"context"
	"time"
)

// Status is what can be seen of a sandbox.
type Status struct {
	// Cluster is nil when none is up.
	Cluster *Cluster
	// Processes are those that were started and not stopped since, in that order.
	Processes []ProcessStatus
	// Problem says in one line what keeps it from working, if anything does.
	Problem string
}

// ProcessStatus tells of one process.
type ProcessStatus struct {
	Name    string
	PID     int
	Started time.Time
	Alive   bool
	// LogPath is its log; LastLines are the end of it when the process has ended.
	LogPath   string
	LastLines string
}

// Inspect looks at the sandbox without changing it.
func Inspect(ctx context.Context, o Options) (Status, error) {
	l, err := newLayout(o)
	if err != nil {
		return Status{}, err
	}
	var out Status
	set := l.processes()
	if c, err := readCluster(l); err == nil {
		out.Cluster = c
		if c.Existing {
			set = l.processesForExisting()
		}
	}
	if owner, err := l.otherOwner(); err != nil {
		return out, err
	} else if owner != "" && out.Cluster == nil {
		out.Problem = "another sandbox is up on this machine, with its state in " + owner
		return out, nil
	}
	records, err := set.List()
	if err != nil {
		return out, err
	}
	for _, r := range records {
		p := ProcessStatus{Name: r.Name, PID: r.PID, Started: r.Started, Alive: r.Alive(), LogPath: set.LogPath(r.Name)}
		if !p.Alive {
			p.LastLines = set.Tail(r.Name, 8)
			out.Problem = r.Name + " has ended"
		}
		out.Processes = append(out.Processes, p)
	}
	switch {
	case out.Problem != "":
	case out.Cluster == nil && len(records) > 0:
		out.Problem = "the last run did not end cleanly, or is on its way up"
	case out.Cluster != nil:
		if err := apiReady(out.Cluster.Kubeconfig)(ctx); err != nil {
			out.Problem = err.Error()
		}
	}
	return out, nil
}
