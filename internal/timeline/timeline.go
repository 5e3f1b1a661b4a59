// Package timeline draws what became of a fleet of nodes, or of a night, as one HTML page: a value in, a page out.
//
// The page needs nothing but itself. It holds no script and loads nothing, because Argo's server serves artifacts under a
// Content-Security-Policy that allows neither. The package reads no cluster and decides nothing about a recycle.
package timeline

import (
	"embed"
	"html/template"
	"io"
	"time"
)

// Page is all that the page shows. A From or Until that is zero is that of the recycles.
type Page struct {
	Title    string         `json:"title"`
	Cluster  string         `json:"cluster,omitempty"`
	From     time.Time      `json:"from,omitzero"`
	Until    time.Time      `json:"until,omitzero"`
	Drawn    time.Time      `json:"drawn"`
	Location *time.Location `json:"-"` // in which times are shown; nil means UTC
	Recycles []Recycle      `json:"recycles"`
	Groups   []Group        `json:"groups,omitempty"`
}

// Recycle is what became of one node. Node names may repeat: a recycle that failed and one that followed are two.
type Recycle struct {
	Node        string    `json:"nodeName,omitempty"`
	Instance    string    `json:"instanceId"`
	Group       string    `json:"asgName,omitempty"`
	Zone        string    `json:"zone,omitempty"`
	Workflow    string    `json:"workflow"`
	Replacement string    `json:"replacement,omitempty"`
	Outcome     string    `json:"outcome"`          // one of the outcomes below
	Reason      string    `json:"reason,omitempty"` // why it failed or was skipped; any characters
	From        time.Time `json:"from"`
	Until       time.Time `json:"until,omitzero"`
	Steps       []Step    `json:"steps,omitempty"`
	Blocked     []Span    `json:"blocked,omitempty"` // when a PodDisruptionBudget blocked the eviction
}

// The outcomes of a recycle.
const (
	Recycled   = "Recycled"
	Skipped    = "Skipped"
	Failed     = "Failed"
	InProgress = "InProgress"
)

// Step is one step of a recycle. Until is zero while it runs.
type Step struct {
	Name     string    `json:"name"` // standby, taint, drain, evict, retire, settle; others are shown too
	From     time.Time `json:"from"`
	Until    time.Time `json:"until,omitzero"`
	Attempts int       `json:"attempts"`
	Failed   bool      `json:"failed,omitempty"`
	Message  string    `json:"message,omitempty"` // the last one
}

// Span is a stretch of time and what to say of it. Until is zero while it lasts.
type Span struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until,omitzero"`
	Text  string    `json:"text"`
}

// Group is the capacity of one Auto Scaling group over time.
type Group struct {
	Name   string  `json:"asgName"`
	Points []Point `json:"capacity"` // sorted; each holds until the next
}

// Point is the capacity from one moment on.
type Point struct {
	At        time.Time `json:"at"`
	InService int       `json:"inService"`
	Desired   int       `json:"desired"`
}

//go:embed page.html style.css
var files embed.FS

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	page, err := template.ParseFS(files, "page.html", "style.css")
	if err != nil {
		return err
	}
	return page.ExecuteTemplate(w, "page.html", newView(p))
}
