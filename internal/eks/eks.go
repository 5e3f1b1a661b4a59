// Package eks makes a Kubernetes client configuration for the cluster a recycle works on: the EKS cluster named, or the
// one of the kubeconfig, or the one the process runs in. It is the only way to a cluster, so one process never mixes two.
package eks

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/oauth2"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"

	"github.com/eks-recycle/eks-recycle/internal/awserr"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// DescribeCluster is what is asked of EKS: a call of the SDK's client, as in package asg.
type DescribeCluster func(context.Context, *eks.DescribeClusterInput, ...func(*eks.Options)) (*eks.DescribeClusterOutput, error)

// Presigner is what is asked of STS: a signed URL, no call.
type Presigner interface {
	PresignGetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.PresignOptions)) (*v4.PresignedHTTPRequest, error)
}

// tokenLifetime is how long EKS takes a token for valid, less a minute for the way
// (https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster: 15 minutes).
const tokenLifetime = 14 * time.Minute

// FromKubeconfig reads a kubeconfig (path empty: KUBECONFIG, then ~/.kube/config) with an optional context, and falls
// back to the in-cluster configuration if there is none.
func FromKubeconfig(path, kubeContext string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: kubeContext}).ClientConfig()
	if err != nil {
		return nil, hint.Errorf("name an EKS cluster with --cluster, or a kubeconfig with --kubeconfig", "finding a cluster: %w", err)
	}
	return config, nil
}

// FromCluster describes an EKS cluster and authenticates with a token that is renewed before it ends: a drain outlives
// many of them.
func FromCluster(ctx context.Context, describe DescribeCluster, presigner Presigner, name string) (*rest.Config, error) {
	out, err := describe(ctx, &eks.DescribeClusterInput{Name: aws.String(name)})
	if awserr.IsClusterNotFound(err) {
		return nil, hint.Errorf("aws eks list-clusters lists the names; check the region (--region)", "EKS cluster %q is unknown in this region and account: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("describing EKS cluster %q: %w", name, err)
	}
	if out.Cluster == nil || out.Cluster.Endpoint == nil || out.Cluster.CertificateAuthority == nil {
		return nil, fmt.Errorf("describing EKS cluster %q: it has no endpoint yet", name)
	}
	ca, err := base64.StdEncoding.DecodeString(aws.ToString(out.Cluster.CertificateAuthority.Data))
	if err != nil {
		return nil, fmt.Errorf("decoding the certificate authority of EKS cluster %q: %w", name, err)
	}
	tokens := transport.NewCachedTokenSource(&tokenSource{ctx: context.WithoutCancel(ctx), presigner: presigner, cluster: name})
	return &rest.Config{
		Host:            aws.ToString(out.Cluster.Endpoint),
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		WrapTransport:   transport.ResettableTokenSourceWrapTransport(tokens),
	}, nil
}

type tokenSource struct {
	ctx       context.Context //nolint:containedctx // oauth2.TokenSource takes none
	presigner Presigner
	cluster   string
}

// Token makes a token as aws-iam-authenticator does: the presigned URL of a GetCallerIdentity call that carries the
// cluster's name in a signed header.
func (s *tokenSource) Token() (*oauth2.Token, error) {
	expiry := time.Now().Add(tokenLifetime)
	request, err := s.presigner.PresignGetCallerIdentity(s.ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, func(o *sts.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue("x-k8s-aws-id", s.cluster), smithyhttp.SetHeaderValue("X-Amz-Expires", "60"))
		})
	})
	if err != nil {
		return nil, fmt.Errorf("making a token for EKS cluster %q: %w", s.cluster, err)
	}
	return &oauth2.Token{AccessToken: "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(request.URL)), Expiry: expiry}, nil
}
