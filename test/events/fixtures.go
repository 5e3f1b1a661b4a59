// Package events holds bodies as AWS sends them to a queue, and requests to the webhook, each with what it starts, or with
// why it starts nothing. The account is that of the sandbox, 000000000000, its region eu-central-1.
//
// X.json is the body, X.want.json the outcome:
//
//	{"event": {"workflowTemplate": …, "name": …, "parameters": {…}}}    what it starts, or
//	{"dropped": "…"}                                                    a part of the reason why it starts nothing
//
// and for requests to the webhook "webhook": true, with "idempotencyKey" if that header is sent.
package events

import (
	"embed"
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
)

// What the Receiver of the fixtures is configured to.
const (
	Account = "000000000000"
	Region  = "eu-central-1"
)

// Fixture is one body and what comes of it.
type Fixture struct {
	Name           string `json:"-"`
	Body           []byte `json:"-"`
	Webhook        bool   `json:"webhook"`
	IdempotencyKey string `json:"idempotencyKey"`
	Event          *Event `json:"event"`   // what it starts
	Dropped        string `json:"dropped"` // else a part of the reason
}

// Event is what step event prints in its field event.
type Event struct {
	Template   string            `json:"workflowTemplate"`
	Name       string            `json:"name"`
	Parameters map[string]string `json:"parameters"`
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
		if (f.Event == nil) == (f.Dropped == "") {
			tb.Fatalf("%s: either event or dropped", name)
		}
		all = append(all, f)
	}
	return all
}
