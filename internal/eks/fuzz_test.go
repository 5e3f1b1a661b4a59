package eks_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/eks-recycle/eks-recycle/internal/eks"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// described is an EKS that says one thing only.
type described types.Cluster

func (d *described) DescribeCluster(context.Context, *awseks.DescribeClusterInput, ...func(*awseks.Options)) (*awseks.DescribeClusterOutput, error) {
	return &awseks.DescribeClusterOutput{Cluster: (*types.Cluster)(d)}, nil
}

// What EKS says of a cluster becomes a configuration as it is, or an error: a certificate authority that cannot be read must
// not turn into one that is not asked for.
func FuzzFromCluster(f *testing.F) {
	f.Add("https://A1B2.gr7.eu-central-1.eks.amazonaws.com", "Y2E=")
	f.Add("", "")
	f.Add("https://x", "not base64")
	f.Add("https://x", "Y2E=\n")
	f.Add("0", "\n\n\n\n") // line breaks alone are base64 of nothing
	f.Fuzz(func(t *testing.T, endpoint, ca string) {
		api := &described{Endpoint: aws.String(endpoint), CertificateAuthority: &types.Certificate{Data: aws.String(ca)}}
		config, err := eks.FromCluster(t.Context(), api.DescribeCluster, sts.NewPresignClient(sts.New(sts.Options{})), "prod")
		if err != nil {
			return
		}
		if config.Host != endpoint || config.Insecure || config.BearerToken != "" || (strings.Trim(ca, "\r\n") != "" && len(config.CAData) == 0) {
			t.Errorf("endpoint %q, authority %q: %s", endpoint, ca, config)
		}
	})
}

// A kubeconfig is a file of the user's. One that cannot be used is an error with a hint.
func FuzzFromKubeconfig(f *testing.F) {
	for _, seed := range []string{
		"", "{", "apiVersion: v1\nkind: Config\n",
		"apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: t}}]\n",
		"apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: null}]\nclusters: [null]\n",
	} {
		f.Add(seed, "")
		f.Add(seed, "c")
	}
	f.Fuzz(func(t *testing.T, content, kubeContext string) {
		path := filepath.Join(t.TempDir(), "kubeconfig")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := eks.FromKubeconfig(path, kubeContext)
		if (err == nil) != (config != nil) || (err != nil && hint.Of(err) == "") {
			t.Errorf("configuration %v, error %v, hint %q", config, err, hint.Of(err))
		}
	})
}
