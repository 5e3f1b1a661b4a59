package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// addresses is a flag that may be given more than once.
type addresses []string

func (a *addresses) String() string { return fmt.Sprint(*a) }

func (a *addresses) Set(v string) error {
	*a = append(*a, v)
	return nil
}

func prepareAWSSim(flags *flag.FlagSet, std streams) action {
	config := awssim.DefaultConfig()
	config.MarkNodesReady = true
	config.Log = slog.New(slog.NewTextHandler(std.err, nil))
	var listen addresses
	flags.Var(&listen, "listen", "`host:port` to serve on; may be repeated")
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig `file` of the cluster that gets the Nodes")
	ca := flags.String("cluster-ca", "", "certificate `file` of the cluster's authority")
	flags.StringVar(&config.Region, "region", "eu-central-1", "AWS region")
	flags.StringVar(&config.AccountID, "account", "000000000000", "AWS account")
	flags.StringVar(&config.ClusterName, "cluster", "sandbox", "name of the EKS cluster")
	flags.StringVar(&config.ClusterEndpoint, "cluster-endpoint", "", "`URL` of the cluster's API server")
	return func(ctx context.Context, _ sandbox.Options, _ []string) error {
		if *kubeconfig != "" {
			rest, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
			if err != nil {
				return fmt.Errorf("reading kubeconfig %q: %w", *kubeconfig, err)
			}
			if config.Kubernetes, err = kubernetes.NewForConfig(rest); err != nil {
				return fmt.Errorf("connecting to the cluster: %w", err)
			}
			version, err := config.Kubernetes.Discovery().ServerVersion()
			if err != nil {
				return fmt.Errorf("asking for the cluster's version: %w", err)
			}
			// Distributions add a plus sign to the minor version.
			config.ClusterVersion = version.Major + "." + strings.TrimSuffix(version.Minor, "+")
		}
		if *ca != "" {
			pem, err := os.ReadFile(*ca)
			if err != nil {
				return fmt.Errorf("reading the cluster's certificate: %w", err)
			}
			config.ClusterCA = base64.StdEncoding.EncodeToString(pem)
		}
		config.Seed = uint64(time.Now().UnixNano())
		sim := awssim.New(config)
		sim.Start(ctx)
		defer sim.Close()
		return serve(ctx, sim, listen)
	}
}

// serve answers on all addresses until ctx ends or one of them fails.
func serve(ctx context.Context, handler http.Handler, listen []string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, address := range listen {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("listening on %q: %w", address, err)
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		defer server.Close()
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("serving on %q: %w", address, err))
			}
		}()
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
