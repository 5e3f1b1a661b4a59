// Package events holds bodies as AWS sends them to a queue, and requests to the webhook, each with what it starts, or with
// why it starts nothing. The account is that of the sandbox, 000000000000, its region eu-central-1.
//
// X.json is the body, X.want.json the outcome:
//
//	{"starts": [{"kind": …, "workflowTemplate": …, "name": …, "parameters": {…}}]}    what it starts, or
//	{"dropped": "…"}                                                                  a part of the reason why it starts nothing
//
// and for requests to the webhook "webhook": true, with "idempotencyKey" if that header is sent, and "allowed", the parameters that the
// installation allows them besides the usual ones. After a change of the mapping: go test ./internal/event -update, and read the diff.
package events

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// What the Receiver of the fixtures is configured to.
const (
	Account       = "000000000000"
	Region        = "eu-central-1"
	Hook          = "eks-recycle"
	AlarmCoolDown = "1h"
)

// Fixture is one body and what comes of it.
type Fixture struct {
	Name           string   `json:"-"`
	Body           []byte   `json:"-"`
	Webhook        bool     `json:"webhook,omitempty"`
	IdempotencyKey string   `json:"idempotencyKey,omitempty"`
	Allowed        []string `json:"allowed,omitempty"`
	Starts         []Event  `json:"starts,omitempty"`  // what it starts
	Dropped        string   `json:"dropped,omitempty"` // else a part of the reason
}

// Event is what step event prints of each workflow.
type Event struct {
	Kind       string            `json:"kind"`
	Template   string            `json:"workflowTemplate"`
	Name       string            `json:"name"`
	Parameters map[string]string `json:"parameters"`
}

// Message is the body as it reaches the step: that of a message in the queue, or a request to the webhook with its header.
func (f Fixture) Message() []byte {
	if !f.Webhook {
		return f.Body
	}
	return fmt.Appendf(nil, `{"request": %s, "idempotencyKey": %q}`, f.Body, f.IdempotencyKey)
}

//go:embed *.json
var files embed.FS

// All reads the fixtures, sorted by name.
func All(tb testing.TB) (all []Fixture) {
	tb.Helper()
	names, err := fs.Glob(files, "*.want.json")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		f := Fixture{Name: strings.TrimSuffix(name, ".want.json")}
		want, err := files.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		if err := json.Unmarshal(want, &f); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		if f.Body, err = files.ReadFile(f.Name + ".json"); err != nil {
			tb.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}
