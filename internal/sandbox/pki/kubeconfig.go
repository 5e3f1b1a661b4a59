package pki

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig says how a client reaches the API server.
type Kubeconfig struct {
	Path      string
	Server    string
	Namespace string
	Context   string
}

// WriteKubeconfig issues a client certificate for the subject and writes a self-contained kubeconfig.
func (a *Authority) WriteKubeconfig(k Kubeconfig, s Subject) error {
	pair, err := a.Issue(s)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(a.Pair().Certificate)
	if err != nil {
		return fmt.Errorf("reading the authority's certificate: %w", err)
	}
	certificate, err := os.ReadFile(pair.Certificate)
	if err != nil {
		return fmt.Errorf("reading the certificate of %q: %w", s.File, err)
	}
	key, err := os.ReadFile(pair.Key)
	if err != nil {
		return fmt.Errorf("reading the key of %q: %w", s.File, err)
	}
	config := api.NewConfig()
	config.Clusters[k.Context] = &api.Cluster{Server: k.Server, CertificateAuthorityData: ca}
	config.AuthInfos[s.User] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[k.Context] = &api.Context{Cluster: k.Context, AuthInfo: s.User, Namespace: k.Namespace}
	config.CurrentContext = k.Context
	if err := clientcmd.WriteToFile(*config, k.Path); err != nil {
		return fmt.Errorf("writing kubeconfig %q: %w", k.Path, err)
	}
	return nil
}
