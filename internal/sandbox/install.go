package sandbox

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

//go:embed manifests/argo manifests/events
var manifests embed.FS

const controllerDeployment = "workflow-controller"

func controllerImage() string { return "quay.io/argoproj/workflow-controller:latest" }

// executorImage is the one that the controller asks for by itself: that of its own version.
func executorImage(l layout) string { return "quay.io/argoproj/argoexec:" + l.release.Argo }

// ownNamespaces are the namespaces of the sandbox's own cluster. The one of the recycles takes only pods that run under
// the strictest of Kubernetes' pod security standards.
func ownNamespaces() []*unstructured.Unstructured {
	return []*unstructured.Unstructured{
		namespace(argoNamespace, nil),
		namespace(recycleNamespace, map[string]any{
			"pod-security.kubernetes.io/enforce": "restricted",
			"pod-security.kubernetes.io/warn":    "restricted",
		}),
	}
}

func namespace(name string, labels map[string]any) *unstructured.Unstructured {
	metadata := map[string]any{"name": name}
	if labels != nil {
		metadata["labels"] = labels
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}}
}

// installArgo begins with the definitions, side by side: Argo's are some megabytes of schema, which take the API server a
// while.
func (u startup) installArgo(ctx context.Context, k kube, upstream string) error {
	objects, err := renderUpstream(upstream, "argo")
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	var others []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() != "CustomResourceDefinition" {
			others = append(others, o)
			continue
		}
		group.Go(func() error { return k.apply(groupCtx, "sandbox-argo", []*unstructured.Unstructured{o}) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("installing Argo Workflows: %w", err)
	}
	if err := await(ctx, u.argoImages); err != nil {
		return err
	}
	if err := k.apply(ctx, "sandbox-argo", others); err != nil {
		return fmt.Errorf("installing Argo Workflows: %w", err)
	}
	return nil
}

// renderUpstream lays the sandbox's changes, a folder of its manifests, over Argo's own manifests, in memory.
func renderUpstream(upstream, changes string) ([]*unstructured.Unstructured, error) {
	mem := filesys.MakeFsInMemory()
	for from, tree := range map[string]fs.FS{"/manifests/upstream": os.DirFS(upstream), "/": manifests} {
		if err := copyTree(mem, from, tree); err != nil {
			return nil, fmt.Errorf("reading Argo's manifests: %w", err)
		}
	}
	return render(mem, "/manifests/"+changes)
}

// renderAccess renders what access entries need in another cluster, of which this one plays the part, too: hence names of their
// own. The simulator of AWS puts the owner of any good EKS token into the group eks-recycle.
func (s sandbox) renderAccess() ([]*unstructured.Unstructured, error) {
	objects, err := s.renderWorkflows("another-cluster")
	if err != nil {
		return nil, err
	}
	bindings := slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool { return !strings.HasSuffix(o.GetKind(), "Binding") })
	for _, o := range bindings {
		o.SetName(o.GetName() + "-token")
	}
	return bindings, nil
}

func copyTree(to filesys.FileSystem, at string, tree fs.FS) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		return to.WriteFile(path.Join(at, name), content)
	})
}

func render(files filesys.FileSystem, dir string) ([]*unstructured.Unstructured, error) {
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = kustomize.LoadRestrictionsNone
	resources, err := krusty.MakeKustomizer(options).Run(files, dir)
	if err != nil {
		return nil, fmt.Errorf("rendering %q: %w", dir, err)
	}
	var out []*unstructured.Unstructured
	for _, r := range resources.Resources() {
		object, err := r.Map()
		if err != nil {
			return nil, fmt.Errorf("rendering %q: %w", dir, err)
		}
		out = append(out, &unstructured.Unstructured{Object: object})
	}
	return out, nil
}

// installWorkflows applies the sandbox's overlay of the shipped workflows.
func (s sandbox) installWorkflows(ctx context.Context, k kube, c *Cluster) error {
	overlay := "sandbox"
	if c.Events {
		overlay = "sandbox-events"
	}
	objects, err := s.renderWorkflows(overlay)
	if err != nil {
		return err
	}
	if c.Existing {
		adaptToExisting(objects, c.AWSEndpointInPods)
	} else {
		access, err := s.renderAccess()
		if err != nil {
			return err
		}
		objects = append(objects, access...)
	}
	if err := k.apply(ctx, "sandbox-workflows", objects); err != nil {
		return fmt.Errorf("installing the workflows: %w", err)
	}
	s.say("workflows are installed")
	return nil
}

func (s sandbox) renderWorkflows(overlay string) ([]*unstructured.Unstructured, error) {
	return render(filesys.MakeFsOnDisk(), filepath.Join(s.layout.root, "workflows", "overlays", overlay))
}

// awaitAll waits for what runs in the cluster.
func (s sandbox) awaitAll(ctx context.Context, k kube, c *Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := k.awaitNode(ctx, controlNode); err != nil {
		return err
	}
	s.say("node %s is ready", controlNode)
	if err := k.awaitDeployment(ctx, argoNamespace, controllerDeployment); err != nil {
		return err
	}
	s.say("Argo Workflows is ready")
	return s.awaitWorkers(ctx, k, c.AWSEndpoint)
}
