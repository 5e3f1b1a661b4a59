// Package gate asks a health URL or Prometheus whether a fleet may go on to its next node. It decides nothing: it says whether the
// answer is good, and since when.
package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Gate is what has to be good, and for how long. Either or both of URL and Query may be given; with none, it is always open.
type Gate struct {
	URL        string // answers 2xx when all is well
	Prometheus string // its address, for Query
	Query      string // PromQL: good if it has a value, and none of its values is 0
	For        time.Duration
	HTTP       http.RoundTripper // nil is the default
	good       time.Time         // since when
}

// timeout is how long an answer may take.
const timeout = 10 * time.Second

// Check refuses what cannot be asked.
func (g *Gate) Check() error {
	switch {
	case (g.Prometheus == "") != (g.Query == ""):
		return errors.New("--gate-prometheus and --gate-query need one another")
	case g.For < 0:
		return errors.New("--gate-for must not be negative")
	}
	for name, address := range map[string]string{"gate-url": g.URL, "gate-prometheus": g.Prometheus} {
		u, err := url.Parse(address)
		if address != "" && (err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.User != nil) {
			return fmt.Errorf("--%s must be a URL of http or https without a password", name)
		}
	}
	return nil
}

// Closed says why the gate is not open yet, or "". It is open once the answers have been good for as long as For says; it is asked
// again each time.
func (g *Gate) Closed(ctx context.Context) (because string) {
	if g.URL == "" && g.Query == "" {
		return ""
	}
	if because := g.bad(ctx); because != "" {
		g.good = time.Time{}
		return because
	}
	if g.good.IsZero() {
		g.good = time.Now()
	}
	if lasted := time.Since(g.good); lasted < g.For {
		return fmt.Sprintf("its gate has been good for %s, and must be for %s", lasted.Round(time.Second), g.For)
	}
	return ""
}

// Again closes the gate until it has been good for as long as For says from the next question on. A nil Gate has nothing to close.
func (g *Gate) Again() {
	if g != nil {
		g.good = time.Time{}
	}
}

// bad says what is wrong, or "". What cannot be asked is not good.
func (g *Gate) bad(ctx context.Context) string {
	if g.URL != "" {
		if _, err := g.get(ctx, g.URL); err != nil {
			return fmt.Sprintf("the health URL is not good: %v", err)
		}
	}
	if g.Query == "" {
		return ""
	}
	body, err := g.get(ctx, strings.TrimSuffix(g.Prometheus, "/")+"/api/v1/query?query="+url.QueryEscape(g.Query))
	if err != nil {
		return fmt.Sprintf("Prometheus cannot be asked: %v", err)
	}
	return values(body)
}

// values reads the answer to an instant query: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
func values(body []byte) (bad string) {
	var answer struct {
		Data struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "Prometheus gives no answer that can be read"
	}
	type sample [2]any // a time and a text
	var samples []sample
	switch answer.Data.ResultType {
	case "scalar":
		samples = make([]sample, 1)
		if err := json.Unmarshal(answer.Data.Result, &samples[0]); err != nil {
			return "Prometheus gives no answer that can be read"
		}
	case "vector":
		var vector []struct{ Value sample }
		if err := json.Unmarshal(answer.Data.Result, &vector); err != nil {
			return "Prometheus gives no answer that can be read"
		}
		for _, v := range vector {
			samples = append(samples, v.Value)
		}
	default:
		return fmt.Sprintf("the query gives a %q, not a vector or a scalar", answer.Data.ResultType)
	}
	if len(samples) == 0 {
		return "the query has no value"
	}
	for _, s := range samples {
		text, _ := s[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err != nil || v == 0 || v != v {
			return fmt.Sprintf("a value of the query is %q", text)
		}
	}
	return ""
}

func (g *Gate) get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the address is malformed")
	}
	request.Close = true
	client := http.Client{Transport: g.HTTP, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err
		}
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case response.StatusCode/100 != 2:
		return nil, fmt.Errorf("it answers %s", response.Status)
	case err != nil:
		return nil, err
	}
	return body, nil
}
