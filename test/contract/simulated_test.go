package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// simulated is an account of the simulator behind an HTTPS endpoint, which can deny actions as IAM does.
type simulated struct {
	*httptest.Server
	sim *awssim.Sim
	out *bytes.Buffer

	mu     sync.Mutex
	deny   map[string]bool
	calls  []string            // actions
	used   map[string]bool     // the same as IAM names them, such as ec2:StopInstances
	during func(action string) // after an action has been carried out, before it is answered
}

// newSimulated is as fast as a test wants it.
func newSimulated(t *testing.T, change func(*awssim.Config)) *simulated {
	t.Helper()
	const moment = 15 * time.Millisecond
	cfg := awssim.Config{
		Boot: moment, EnteringStandby: moment, ExitingStandby: moment, Detaching: moment, Stopping: moment, Starting: moment, Terminating: moment,
		Reconcile: moment / 5, HealthCheck: time.Minute, LaunchRetry: moment, DetachFromStandby: awssim.DetachAccept,
	}
	if change != nil {
		change(&cfg)
	}
	s := &simulated{sim: awssim.New(cfg), out: new(bytes.Buffer), deny: map[string]bool{}, used: map[string]bool{}}
	s.sim.Start(t.Context())
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() { s.Close(); s.sim.Close() })
	return s
}

// account is the simulated one, with its endpoint and certificate.
func (s *simulated) account() account {
	client := s.Client()
	return account{
		cfg: aws.Config{
			Region: "eu-central-1", BaseEndpoint: aws.String(s.URL), HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) {
				if own, ok := client.Transport.(*http.Transport); ok {
					tr.TLSClientConfig = own.TLSClientConfig
				}
			}),
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
			}),
		},
		subnet: "subnet-0123456789abcdef0", ask: func(string) error { return nil }, out: s.out,
		limit: time.Minute, pace: pace{poll: 3 * time.Millisecond, patience: 10 * time.Second},
	}
}

func (s *simulated) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	action := actionOf(r, body)
	s.mu.Lock()
	s.calls = append(s.calls, action)
	s.used[serviceOf(r)+":"+action] = true
	denied, during := s.deny[action], s.during
	s.mu.Unlock()
	if denied {
		deny(w, r, action)
		return
	}
	recorded := httptest.NewRecorder()
	s.sim.ServeHTTP(recorded, r)
	if during != nil {
		during(action)
	}
	for key, values := range recorded.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes())
}

func actionOf(r *http.Request, body []byte) string {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return target[strings.LastIndex(target, ".")+1:]
	}
	values, _ := url.ParseQuery(string(body))
	return values.Get("Action")
}

// serviceOf reads the scope of the credential: key, date, region, service.
func serviceOf(r *http.Request) string {
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	if len(scope) < 5 {
		return ""
	}
	return scope[3]
}

// deny answers as each service does where IAM allows a call no principal.
func deny(w http.ResponseWriter, r *http.Request, action string) {
	text := "User: arn:aws:iam::000000000000:user/sandbox is not authorized to perform: " + action
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazon.coral.service#AccessDeniedException", "message": text})
	case serviceOf(r) == "ec2":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>%s</Message></Error></Errors><RequestID>1</RequestID></Response>", text)
	default:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>", text)
	}
}

func readOnly(action string) bool {
	return strings.HasPrefix(action, "Describe") || strings.HasPrefix(action, "Get") || action == "ReceiveMessage"
}

// changes are the calls so far that are not reads.
func (s *simulated) changes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), readOnly)
}
