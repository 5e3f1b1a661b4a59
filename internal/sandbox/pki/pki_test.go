package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func TestIssuedCertificates(t *testing.T) {
	authority, err := NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(authority.Pair().Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)

	for _, tt := range []struct {
		name    string
		subject Subject
		usage   x509.ExtKeyUsage
		host    string
		wantErr bool
	}{
		{"a client may be a client", Subject{File: "c", User: "u"}, x509.ExtKeyUsageClientAuth, "", false},
		{"a client may not serve", Subject{File: "c", User: "u"}, x509.ExtKeyUsageServerAuth, "", true},
		{"a server may serve its address", Subject{File: "s", User: "s", Addresses: []net.IP{net.ParseIP("10.96.0.1")}},
			x509.ExtKeyUsageServerAuth, "10.96.0.1", false},
		{"a server may not serve another name", Subject{File: "s", User: "s", Names: []string{"a"}},
			x509.ExtKeyUsageServerAuth, "b", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair, err := authority.Issue(tt.subject)
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := tls.LoadX509KeyPair(pair.Certificate, pair.Key)
			if err != nil {
				t.Fatal(err)
			}
			_, err = loaded.Leaf.Verify(x509.VerifyOptions{
				Roots: roots, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.usage},
			})
			if (err != nil) != tt.wantErr {
				t.Errorf("verifying: %v", err)
			}
		})
	}
}

func TestKubeconfigIsSelfContained(t *testing.T) {
	authority, err := NewAuthority(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	kubeconfig := Kubeconfig{Path: path, Server: "https://10.96.0.1", Namespace: "n", Context: "sandbox"}
	if err := authority.WriteKubeconfig(kubeconfig, Subject{File: "admin", User: "admin"}); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rest.TLSConfigFor(config); err != nil {
		t.Errorf("using the kubeconfig: %v", err)
	}
	if config.Host != "https://10.96.0.1" {
		t.Errorf("server is %q", config.Host)
	}
}
