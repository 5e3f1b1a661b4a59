package notify

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var parked = Message{Reason: "RecycleStopped", Text: "the node stays on standby <!channel> [x](http://evil.example)", Node: "ip-10-0-0-1", Workflow: "eks-recycle/wf", Warning: true}

func TestFormats(t *testing.T) {
	for format, want := range map[string]string{
		Generic: `{"reason":"RecycleStopped","text":"the node stays on standby \u003c!channel\u003e [x](http://evil.example)","node":"ip-10-0-0-1","workflow":"eks-recycle/wf","warning":true}`,
		Slack:   `{"text":"node ip-10-0-0-1: RecycleStopped: the node stays on standby \u0026lt;!channel\u0026gt; [x](http://evil.example) (eks-recycle/wf)"}`,
		Teams: `{"attachments":[{"content":{"$schema":"http://adaptivecards.io/schemas/adaptive-card.json","body":[{"color":"attention",` +
			`"text":"node ip-10-0-0-1: RecycleStopped: the node stays on standby \u0026lt;!channel\u0026gt; \\[x\\](http://evil.example) (eks-recycle/wf)","type":"TextBlock","wrap":true}],` +
			`"type":"AdaptiveCard","version":"1.4"},"contentType":"application/vnd.microsoft.card.adaptive"}],"type":"message"}`,
	} {
		t.Run(format, func(t *testing.T) {
			var got, kind string
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				got, kind = string(body), r.Header.Get("Content-Type")
			}))
			defer server.Close()
			r, err := New(server.URL, format, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			r.Send(t.Context(), parked)
			if got != want || kind != "application/json" || !json.Valid([]byte(got)) {
				t.Errorf("it sends %s %s, want %s", kind, got, want)
			}
		})
	}
}

// A receiver that is away or refuses is logged, without its address, which is a secret.
func TestReceiverThatFails(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refuses.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	redirects := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer redirects.Close()
	for name, c := range map[string]struct{ address, says string }{
		"refuses":   {refuses.URL + "/services/s3cr3t", "403 Forbidden"},
		"redirects": {redirects.URL + "/services/s3cr3t", "307 Temporary Redirect"},
		"is away":   {"http://127.0.0.1:1/services/s3cr3t", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r, err := New(c.address, Slack, slog.New(slog.NewJSONHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			r.Send(t.Context(), parked)
			if !strings.Contains(log.String(), c.says) || strings.Contains(log.String(), "s3cr3t") {
				t.Errorf("the log is %s", log.String())
			}
		})
	}
}

func TestWhatCannotBeAReceiver(t *testing.T) {
	for _, c := range []struct{ address, format, says string }{
		{"ftp://s3cr3t.example", "", "no URL of http or https"},
		{"hooks.example/s3cr3t", "", "no URL of http or https"},
		{"https://\x7fs3cr3t", "", "no URL of http or https"},
		{"https://hooks.example", "pager", `format "pager" of notifications is none of generic, slack, teams`},
	} {
		if _, err := New(c.address, c.format, nil); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	none, err := New("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	none.Send(t.Context(), parked) // to nobody
}
