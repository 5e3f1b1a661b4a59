package eks_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/client-go/rest"

	"github.com/eks-recycle/eks-recycle/internal/eks"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// account is a simulated AWS account with one cluster, and the SDK's configuration for it.
func account(cluster string) (*awssim.Sim, aws.Config) {
	c := awssim.DefaultConfig()
	c.ClusterName, c.ClusterEndpoint, c.ClusterCA = cluster, "https://"+cluster+".example", base64.StdEncoding.EncodeToString([]byte("ca of "+cluster))
	sim := awssim.New(c)
	return sim, aws.Config{
		Region: "eu-central-1", HTTPClient: sim.HTTPClient(), BaseEndpoint: aws.String("http://awssim"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		}),
	}
}

func connect(t *testing.T, cfg aws.Config, cluster string) *rest.Config {
	t.Helper()
	config, err := eks.FromCluster(t.Context(), awseks.NewFromConfig(cfg).DescribeCluster, sts.NewPresignClient(sts.NewFromConfig(cfg)), cluster)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// wire answers every request and keeps the token that the last one carried.
type wire struct{ token string }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// send sends a request as client-go would and returns its token.
func send(t *testing.T, transport http.RoundTripper, w *wire) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://cluster.example/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	return w.token
}

// review asks a cluster's webhook who the bearer is.
func review(t *testing.T, sim *awssim.Sim, token string) (ok bool, why string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": map[string]string{"token": token}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := sim.HTTPClient().Post("http://awssim/_sim/tokenreview", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Status struct {
			Authenticated bool
			Error         string
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status.Authenticated, answer.Status.Error
}

func TestTokenHasTheFormThatEKSWants(t *testing.T) {
	_, cfg := account("prod")
	var w wire
	token := send(t, connect(t, cfg, "prod").WrapTransport(&w), &w)
	encoded, ok := strings.CutPrefix(token, "k8s-aws-v1.")
	if !ok || strings.ContainsAny(token, "=+/") {
		t.Fatalf("token %q, want k8s-aws-v1. and unpadded base64url", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := url.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	q := signed.Query()
	if q.Get("Action") != "GetCallerIdentity" || q.Get("X-Amz-Expires") != "60" {
		t.Errorf("presigned call %s", signed.Redacted())
	}
	if headers := strings.Split(q.Get("X-Amz-SignedHeaders"), ";"); strings.Join(headers, " ") != "host x-k8s-aws-id" {
		t.Errorf("signed headers %v, want the cluster's name among them", headers)
	}
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, cfg := account("prod")
		var w wire
		transport := connect(t, cfg, "prod").WrapTransport(&w)
		tokens := map[string]bool{}
		for range 20 * 60 { // a drain of twenty hours, one request a minute
			token := send(t, transport, &w)
			if ok, why := review(t, sim, token); !ok {
				t.Fatalf("the cluster refuses a token in use: %s", why)
			}
			tokens[token] = true
			time.Sleep(time.Minute)
		}
		if n := len(tokens); n < 20*60/15 || n > 20*60/10 {
			t.Errorf("%d tokens in twenty hours; each is good for fifteen minutes", n)
		}
	})
}

// The predecessor kept one kubeconfig path for every cluster: a warm process could act on the wrong one.
func TestTwoClustersInOneProcessNeverMix(t *testing.T) {
	names := []string{"blue", "green"}
	sims, tokens := map[string]*awssim.Sim{}, map[string]string{}
	for _, name := range names {
		sim, cfg := account(name)
		config := connect(t, cfg, name)
		if config.Host != "https://"+name+".example" || string(config.CAData) != "ca of "+name {
			t.Errorf("cluster %s is reached at %s with CA %q", name, config.Host, config.CAData)
		}
		var w wire
		sims[name], tokens[name] = sim, send(t, config.WrapTransport(&w), &w)
	}
	for _, cluster := range names {
		for _, bearer := range names {
			if ok, why := review(t, sims[cluster], tokens[bearer]); ok != (cluster == bearer) {
				t.Errorf("cluster %s takes the token for %s: %t %s", cluster, bearer, ok, why)
			}
		}
	}
}

type describer struct {
	cluster *types.Cluster
	err     error
}

func (d describer) DescribeCluster(context.Context, *awseks.DescribeClusterInput, ...func(*awseks.Options)) (*awseks.DescribeClusterOutput, error) {
	return &awseks.DescribeClusterOutput{Cluster: d.cluster}, d.err
}

func TestClustersThatCannotBeReached(t *testing.T) {
	_, cfg := account("prod")
	known := awseks.NewFromConfig(cfg).DescribeCluster
	for name, c := range map[string]struct {
		describe      eks.DescribeCluster
		message, hint string
	}{
		"a name that EKS does not know": {known, `EKS cluster "nosuch" is unknown in this region and account`, "aws eks list-clusters"},
		"a cluster that is being made":  {describer{cluster: &types.Cluster{}}.DescribeCluster, "it has no endpoint yet", ""},
		"no answer":                     {describer{err: errors.New("boom")}.DescribeCluster, `describing EKS cluster "nosuch": boom`, ""},
		"a broken certificate authority": {describer{cluster: &types.Cluster{Endpoint: aws.String("https://x"), CertificateAuthority: &types.Certificate{Data: aws.String("%")}}}.DescribeCluster,
			"decoding the certificate authority", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := eks.FromCluster(t.Context(), c.describe, sts.NewPresignClient(sts.NewFromConfig(cfg)), "nosuch")
			if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(hint.Of(err), c.hint) {
				t.Errorf("error %v, hint %q", err, hint.Of(err))
			}
		})
	}
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://a.example"}}, {name: b, cluster: {server: "https://b.example"}}]
contexts: [{name: a, context: {cluster: a, user: u}}, {name: b, context: {cluster: b, user: u}}]
users: [{name: u, user: {token: secret}}]
current-context: a
`

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	for path, content := range map[string]string{good: kubeconfig, bad: "{"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ env, path, context, host, message string }{
		"the flag":                        {path: good, host: "https://a.example"},
		"the environment":                 {env: good, host: "https://a.example"},
		"the flag before the environment": {env: bad, path: good, host: "https://a.example"},
		"another context":                 {path: good, context: "b", host: "https://b.example"},
		"a context that is not there":     {path: good, context: "c", message: `context "c" does not exist`},
		"a file that is not there":        {path: filepath.Join(dir, "none"), message: "no such file or directory"},
		"a file that is no kubeconfig":    {path: bad, message: "error loading config file"},
		"neither a file nor a cluster":    {env: filepath.Join(dir, "none"), message: "finding a cluster: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", c.env)
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			config, err := eks.FromKubeconfig(c.path, c.context)
			if c.message != "" {
				if err == nil || !strings.Contains(err.Error(), c.message) || hint.Of(err) == "" {
					t.Fatalf("error %v, hint %q", err, hint.Of(err))
				}
				return
			}
			if err != nil || config.Host != c.host {
				t.Fatalf("config %+v, error %v", config, err)
			}
		})
	}
}
