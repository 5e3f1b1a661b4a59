// Package notify tells people over HTTP what becomes of a recycle. It tells each thing once and waits for nobody: what a
// receiver does not take is lost, and a recycle never fails because of it.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Formats of the body.
const (
	Generic = "generic" // a Message
	Slack   = "slack"   // https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
	Teams   = "teams"   // https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#send-adaptive-cards-using-an-incoming-webhook
)

// Formats are those that there are.
var Formats = []string{Generic, Slack, Teams}

// timeout is how long a receiver may take.
const timeout = 5 * time.Second

// Message is one thing to tell. Reason is that of the Event of the same moment, such as RecycleStarted.
type Message struct {
	Reason   string `json:"reason"`
	Text     string `json:"text"`
	Node     string `json:"node,omitempty"`
	Workflow string `json:"workflow,omitempty"`
	Cluster  string `json:"cluster,omitempty"`
	Warning  bool   `json:"warning"` // a person is needed
}

// Receiver is where messages go. Its address is a secret: nothing else is needed to write there.
type Receiver struct {
	HTTP            http.RoundTripper // nil is the default
	address, format string
	log             *slog.Logger
}

// New checks the address, which may be empty, and the format. Its errors do not hold the address.
func New(address, format string, log *slog.Logger) (*Receiver, error) {
	u, err := url.Parse(address)
	if address != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http")) {
		return nil, errors.New("the address for notifications is no URL of http or https")
	}
	if format == "" {
		format = Generic
	}
	for _, f := range Formats {
		if f == format {
			return &Receiver{address: address, format: format, log: log}, nil
		}
	}
	return nil, fmt.Errorf("format %q of notifications is none of %s", format, strings.Join(Formats, ", "))
}

// Send tells it, or logs why it could not.
func (r *Receiver) Send(ctx context.Context, m Message) {
	if r == nil || r.address == "" {
		return
	}
	if err := r.post(ctx, m); err != nil {
		r.log.WarnContext(ctx, "notifying", "reason", m.Reason, "err", err)
	}
}

func (r *Receiver) post(ctx context.Context, m Message) error {
	body, err := json.Marshal(r.body(m))
	if err != nil {
		return err
	}
	// What happened is told even if the attempt is about to end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.address, bytes.NewReader(body))
	if err != nil {
		return errors.New("the address is malformed")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	client := http.Client{Transport: r.HTTP, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		var withAddress *url.Error
		if errors.As(err, &withAddress) {
			return withAddress.Err
		}
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<16))
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answers %s", response.Status)
	}
	return nil
}

func (r *Receiver) body(m Message) any {
	switch r.format {
	case Slack:
		return map[string]any{"text": slackEscapes.Replace(m.line())}
	case Teams:
		block := map[string]any{"type": "TextBlock", "wrap": true, "text": teamsEscapes.Replace(m.line())}
		if m.Warning {
			block["color"] = "attention"
		}
		return map[string]any{"type": "message", "attachments": []any{map[string]any{
			"contentType": "application/vnd.microsoft.card.adaptive",
			"content":     map[string]any{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": []any{block}},
		}}}
	default:
		return m
	}
}

// Names of pods and nodes are others' to choose: they are no links, mentions or headings.
var (
	slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	teamsEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "#", `\#`, "<", "&lt;", ">", "&gt;")
)

func (m Message) line() string {
	var b strings.Builder
	if m.Cluster != "" {
		fmt.Fprintf(&b, "%s: ", m.Cluster)
	}
	if m.Node != "" {
		fmt.Fprintf(&b, "node %s: ", m.Node)
	}
	fmt.Fprintf(&b, "%s: %s", m.Reason, m.Text)
	if m.Workflow != "" && !strings.Contains(m.Text, m.Workflow) {
		fmt.Fprintf(&b, " (%s)", m.Workflow)
	}
	return b.String()
}
