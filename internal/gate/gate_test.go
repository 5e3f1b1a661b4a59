package gate

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers plays servers by the path that is asked for.
type answers func(*http.Request) (status int, body string)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := a(r)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func TestWhatIsGood(t *testing.T) {
	vector := func(values string) string {
		return `{"status":"success","data":{"resultType":"vector","result":[` + values + `]}}`
	}
	for name, c := range map[string]struct {
		status  int
		body    string
		because string // a part; "" is good
	}{
		"a value":                {200, vector(`{"metric":{},"value":[1700000000.1,"1"]}`), ""},
		"two values":             {200, vector(`{"metric":{"a":"b"},"value":[1,"0.5"]},{"metric":{},"value":[1,"3"]}`), ""},
		"a scalar":               {200, `{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`, ""},
		"infinity":               {200, vector(`{"metric":{},"value":[1,"+Inf"]}`), ""},
		"no value":               {200, vector(""), "the query has no value"},
		"a value of 0":           {200, vector(`{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"0"]}`), `a value of the query is "0"`},
		"a value that is none":   {200, vector(`{"metric":{},"value":[1,"NaN"]}`), `a value of the query is "NaN"`},
		"a value without a text": {200, vector(`{"metric":{},"value":[1,1]}`), `a value of the query is ""`},
		"a range":                {200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`, `the query gives a "matrix"`},
		"an error of the query":  {400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, "Prometheus cannot be asked: it answers Bad Request"},
		"no JSON":                {200, "<html>", "no answer that can be read"},
		"another JSON":           {200, `{"data":{"resultType":"vector","result":"x"}}`, "no answer that can be read"},
		"it is away":             {0, "", "Prometheus cannot be asked: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			g := Gate{Prometheus: "https://prometheus.example/", Query: "up == 1 and x{a=\"b&c\"}", HTTP: answers(func(r *http.Request) (int, string) {
				if r.URL.Path != "/api/v1/query" || r.URL.Query().Get("query") != "up == 1 and x{a=\"b&c\"}" {
					t.Errorf("it asks for %s", r.URL)
				}
				return c.status, c.body
			})}
			if because := g.Closed(t.Context()); (because == "") != (c.because == "") || !strings.Contains(because, c.because) {
				t.Errorf("it says %q, want %q", because, c.because)
			}
		})
	}
}

// It opens once all has been good without a break.
func TestGateOpensAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		g := Gate{URL: "https://health.example", For: 5 * time.Minute, HTTP: answers(func(*http.Request) (int, string) {
			if bad := time.Since(began); bad < 2*time.Minute || (bad > 4*time.Minute && bad < 5*time.Minute) {
				return 503, ""
			}
			return 200, ""
		})}
		var opened time.Duration
		for g.Closed(t.Context()) != "" {
			time.Sleep(30 * time.Second)
			opened = time.Since(began)
		}
		if opened != 10*time.Minute {
			t.Errorf("it opened after %s, want 10m", opened)
		}
	})
}

func TestWhatCannotBeAsked(t *testing.T) {
	for _, c := range []struct {
		gate Gate
		says string
	}{
		{Gate{URL: "health.example"}, "--gate-url must be a URL"},
		{Gate{URL: "file:///etc/passwd"}, "--gate-url must be a URL"},
		{Gate{URL: "https://a:b@health.example"}, "without a password"},
		{Gate{Query: "up"}, "need one another"},
		{Gate{Prometheus: "https://p.example"}, "need one another"},
		{Gate{Prometheus: "gopher://p.example", Query: "up"}, "--gate-prometheus must be a URL"},
		{Gate{For: -time.Second}, "must not be negative"},
	} {
		if err := c.gate.Check(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.gate, err)
		}
	}
	if err := (&Gate{URL: "http://health.example", Prometheus: "https://p.example", Query: "up"}).Check(); err != nil {
		t.Error(err)
	}
	if because := (&Gate{}).Closed(t.Context()); because != "" {
		t.Error(because)
	}
}
