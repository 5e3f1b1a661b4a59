package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// checkTimeout bounds one look at a component that takes connections without answering.
const checkTimeout = 2 * time.Second

// newClient makes the HTTP client of a check when the check runs: certificates are written after components are made.
type newClient func() (*http.Client, error)

func plainHTTP() newClient {
	return func() (*http.Client, error) { return &http.Client{Timeout: checkTimeout}, nil }
}

// selfSigned trusts any server: the controllers make certificates for themselves, and a check tells them no secret.
func selfSigned() newClient {
	return func() (*http.Client, error) {
		return tlsClient(&tls.Config{InsecureSkipVerify: true}), nil
	}
}

func (l layout) withClientCertificate(name string) newClient {
	return func() (*http.Client, error) {
		pair, err := tls.LoadX509KeyPair(l.certificate(name), l.key(name))
		if err != nil {
			return nil, err
		}
		ca, err := os.ReadFile(l.certificate("ca"))
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		return tlsClient(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}), nil
	}
}

func tlsClient(config *tls.Config) *http.Client {
	return &http.Client{Timeout: checkTimeout, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func httpReady(url string, client newClient) proc.Check {
	return func(ctx context.Context) error {
		c, err := client()
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := c.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s says %s: %s", url, response.Status, lastLine(string(body)))
		}
		return nil
	}
}

func apiReady(kubeconfig string) proc.Check {
	return func(ctx context.Context) error {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		config.Timeout = checkTimeout
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			return err
		}
		return httpReady(config.Host+"/readyz", func() (*http.Client, error) { return client, nil })(ctx)
	}
}

// commandReady passes when a command succeeds.
func commandReady(path string, args ...string) proc.Check {
	return func(ctx context.Context) error {
		output, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, lastLine(string(output)))
		}
		return nil
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
