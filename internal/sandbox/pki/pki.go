// Package pki is the sandbox's own certificate authority. One authority signs everything, clients and servers: the
// cluster lives on one machine, for hours, and its keys are deleted when it goes down. Not for use anywhere else.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is far longer than a sandbox is kept, and skew forgives a clock that is set back while it runs.
const (
	lifetime = 365 * 24 * time.Hour
	skew     = time.Hour
)

// Authority signs certificates and keeps them as files in one folder.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Subject is whom a certificate is for. With Addresses or Names it can serve, too.
type Subject struct {
	// File is the base name of the certificate's files.
	File string
	// User and Groups are what Kubernetes reads from a client certificate.
	User      string
	Groups    []string
	Names     []string
	Addresses []net.IP
}

// Pair is where a certificate and its key are.
type Pair struct {
	Certificate string
	Key         string
}

// NewAuthority creates an authority whose files are in dir.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the folder for certificates: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating the authority's key: %w", err)
	}
	template, err := newTemplate(pkix.Name{CommonName: "eks-recycle sandbox"})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading back the authority's certificate: %w", err)
	}
	a := &Authority{dir: dir, certificate: certificate, key: key}
	_, err = a.write("ca", der, key)
	return a, err
}

// Pair is the authority's own certificate and key.
func (a *Authority) Pair() Pair { return a.pair("ca") }

// Issue signs a certificate for the subject.
func (a *Authority) Issue(s Subject) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generating the key of %q: %w", s.File, err)
	}
	template, err := newTemplate(pkix.Name{CommonName: s.User, Organization: s.Groups})
	if err != nil {
		return Pair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(s.Names)+len(s.Addresses) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	template.DNSNames, template.IPAddresses = s.Names, s.Addresses
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing the certificate of %q: %w", s.File, err)
	}
	return a.write(s.File, der, key)
}

func newTemplate(name pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      name,
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(lifetime),
	}, nil
}

func (a *Authority) pair(file string) Pair {
	return Pair{Certificate: filepath.Join(a.dir, file+".crt"), Key: filepath.Join(a.dir, file+".key")}
}

func (a *Authority) write(file string, der []byte, key *ecdsa.PrivateKey) (Pair, error) {
	p := a.pair(file)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return p, fmt.Errorf("encoding the key of %q: %w", file, err)
	}
	for path, block := range map[string]*pem.Block{
		p.Certificate: {Type: "CERTIFICATE", Bytes: der},
		p.Key:         {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return p, fmt.Errorf("writing the certificate of %q: %w", file, err)
		}
	}
	return p, nil
}
