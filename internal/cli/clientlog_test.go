package cli_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// The SDK closes a request's body when the response begins; net/http may look for the body's end only then.
func TestABodyThatIsClosedEarlyEndsWithoutAnError(t *testing.T) {
	for name, c := range map[string]struct {
		through func(aws.HTTPClient) aws.HTTPClient
		want    error
	}{
		"as the SDK makes it; should it end well one day, plainBodies is of no more use": {func(c aws.HTTPClient) aws.HTTPClient { return c }, io.EOF},
		"as the step sends it": {cli.PlainBodies, nil},
	} {
		t.Run(name, func(t *testing.T) {
			plain := smithyhttp.NewStackRequest().(*smithyhttp.Request)
			plain.ContentLength = 3
			whole, err := plain.SetStream(strings.NewReader("abc"))
			if err != nil {
				t.Fatal(err)
			}
			request := whole.Build(t.Context())
			built := request.Body
			var sent io.Reader
			_, _ = c.through(clientFunc(func(r *http.Request) (*http.Response, error) {
				sent = r.Body
				_, err := io.CopyN(io.Discard, r.Body, 3)
				return nil, err
			})).Do(request)
			_ = built.Close()
			if _, err := io.Copy(io.Discard, sent); !errors.Is(err, c.want) {
				t.Errorf("looking for the end: %v, want %v", err, c.want)
			}
		})
	}
}

func TestTheSDKLogsIntoTheStepsLog(t *testing.T) {
	var out bytes.Buffer
	log := cli.SDKLog(slog.New(slog.NewJSONHandler(&out, nil)))
	log.Logf(logging.Debug, "request %d", 1)
	log.Logf(logging.Warn, "failed %q", "x")
	if got := out.String(); !strings.Contains(got, `"level":"WARN","msg":"AWS SDK","text":"failed \"x\""}`) || strings.Count(got, "\n") != 1 {
		t.Errorf("log: %s", got)
	}
}
