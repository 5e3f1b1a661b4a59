package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/eks"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/kube"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// Clients are the ways to AWS and to the cluster, each made once.
type Clients struct {
	AWS       asg.Client     // without a way to wait
	Kube      Kube           // nothing with OnlyAWS
	Workflows argo.Workflows // of the cluster that Argo runs in
	Region    string
}

// Kube is what a recycle asks of the API server.
type Kube struct {
	Nodes       node.API
	Events      func(namespace string) node.EventAPI
	Pods        func(namespace string) drain.API
	Budgets     func(namespace string) drain.BudgetAPI
	Attachments drain.AttachmentAPI
	Claims      func(namespace string) drain.ClaimAPI // of volumes
	Leases      claim.API                             // in the namespace of the claims
	Version     func(context.Context) (*version.Info, error)
}

// userAgent tells AWS's and Kubernetes' audit logs who called.
const userAgent = "eks-recycle"

// What one step may ask of an API server: client-go's own limit, 5 a second, is for programs that ask seldom.
const (
	callsASecond = 50
	burst        = 100
)

// attempts is how often the AWS SDK tries a call before the step's own wait takes over.
const attempts = 4

// Connect builds the clients from flags and environment.
func Connect(ctx context.Context, o Options) (*Clients, error) {
	klog.SetSlogLogger(o.Log)
	clients, cfg := &Clients{}, aws.Config{}
	if !o.NoAWS || o.Cluster != "" {
		var err error
		if cfg, err = awsConfig(ctx, o); err != nil {
			return nil, err
		}
		clients.AWS, clients.Region = asg.New(autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)), cfg.Region
	}
	if o.OnlyAWS {
		return clients, nil
	}
	kubeConfig, err := cluster(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	kubeConfig.UserAgent, kubeConfig.QPS, kubeConfig.Burst = userAgent, callsASecond, burst
	api, err := kube.New(kubeConfig)
	if err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	clients.Kube = Kube{
		Nodes: api.Nodes(), Version: api.ServerVersion,
		Events:      func(namespace string) node.EventAPI { return api.Events(namespace) },
		Pods:        func(namespace string) drain.API { return api.Pods(namespace) },
		Budgets:     func(namespace string) drain.BudgetAPI { return api.Budgets(namespace) },
		Attachments: api.VolumeAttachments(),
		Claims:      func(namespace string) drain.ClaimAPI { return api.PersistentVolumeClaims(namespace) },
		Leases:      api.Leases(o.LeaseNamespace),
	}
	home, err := eks.FromKubeconfig(o.Kubeconfig, o.Context)
	if err != nil {
		home = kubeConfig // no other is known
	}
	home.UserAgent, home.QPS, home.Burst = userAgent, callsASecond, burst
	if clients.Workflows, err = argo.New(home); err != nil {
		return nil, fmt.Errorf("making a Kubernetes client: %w", err)
	}
	return clients, nil
}

// awsConfig asks the machine that this runs on for its region only if nothing else names one: off EC2 that takes seconds
// and fails.
func awsConfig(ctx context.Context, o Options) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRegion(o.Region), config.WithAppID(userAgent), config.WithLogger(sdkLog(o.Log)),
		config.WithRetryer(func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), attempts) }),
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		if cfg, err = config.LoadDefaultConfig(ctx, append(options, config.WithEC2IMDSRegion())...); err != nil {
			return cfg, hint.Errorf("give --region or set AWS_REGION", "no AWS region is known")
		}
	}
	if cfg.HTTPClient == nil { // one for all services, where none has a certificate bundle of its own
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	cfg.HTTPClient = plainBodies{cfg.HTTPClient}
	return cfg, nil
}

// sdkLog writes what the AWS SDK says into the step's own log: one format.
func sdkLog(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(kind logging.Classification, format string, args ...any) {
		level := slog.LevelDebug
		if kind == logging.Warn {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, "AWS SDK", "text", fmt.Sprintf(format, args...))
	})
}

// plainBodies hides from net/http that the SDK's request bodies are io.WriterTo. The SDK closes a body as soon as the
// response begins, and a closed one's WriteTo fails with io.EOF. Where net/http has not yet looked for the end of the body
// by then, as with an endpoint that is near and quick, it takes that for a failed request and closes the connection while
// the response is being read: "failed to discard remaining HTTP response body".
type plainBodies struct{ aws.HTTPClient }

func (c plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct {
			io.Reader
			io.Closer
		}{r.Body, r.Body}
	}
	return c.HTTPClient.Do(r)
}

func cluster(ctx context.Context, cfg aws.Config, o Options) (*rest.Config, error) {
	if o.Cluster == "" {
		return eks.FromKubeconfig(o.Kubeconfig, o.Context)
	}
	return eks.FromCluster(ctx, awseks.NewFromConfig(cfg).DescribeCluster, sts.NewPresignClient(sts.NewFromConfig(cfg)), o.Cluster)
}
