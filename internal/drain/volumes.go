package drain

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// AttachmentAPI says which volumes are attached where.
type AttachmentAPI interface {
	List(context.Context, metav1.ListOptions) (*storagev1.VolumeAttachmentList, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// ClaimAPI says which volume a claim of a namespace is bound to.
type ClaimAPI interface {
	Get(context.Context, string, metav1.GetOptions) (*corev1.PersistentVolumeClaim, error)
}

// claimOf keeps which claim a pod's volume is.
func claimOf(v corev1.Volume) corev1.Volume {
	kept := corev1.Volume{Name: v.Name}
	if v.Ephemeral != nil {
		kept.Ephemeral = &corev1.EphemeralVolumeSource{}
	} else {
		kept.PersistentVolumeClaim = v.PersistentVolumeClaim
	}
	return kept
}

// claimsOf names the claims of a pod. That of an ephemeral volume is called after the pod and the volume
// (https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/).
func claimsOf(p *corev1.Pod) (names []string) {
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			names = append(names, p.Name+"-"+v.Name)
		}
	}
	return names
}

// AwaitDetached waits until no volume is attached to the Node but those of pods that stay there: an evicted pod starts elsewhere
// once its volume is free, and a volume of an instance that was shut down is free only after six minutes
// (https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/). It ends with ctx, with a *poll.NotDoneError.
func (c *Client) AwaitDetached(ctx context.Context, h Host) error {
	var kept []string // volumes of pods that stay
	known := false
	wait, detached := c.Wait, make(chan struct{}, 1)
	wait.Wake = detached
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	return wait.Until(ctx, func(ctx context.Context) (bool, string, error) {
		attached, version, err := c.attached(ctx, h.Name)
		if err != nil || len(attached) == 0 {
			return err == nil, "", err
		}
		if !known {
			if kept, err = c.volumesOn(ctx, h.Name); err != nil {
				return false, "", err
			}
			known = true
			go c.followDetach(watching, h.Name, version, detached)
		}
		attached = slices.DeleteFunc(attached, func(volume string) bool { return slices.Contains(kept, volume) })
		slices.Sort(attached)
		return len(attached) == 0, fmt.Sprintf("%d volume(s) are still attached to node %s: %s", len(attached), h.Name, strings.Join(attached[:min(len(attached), maxListed)], ", ")), nil
	})
}

// followDetach says each time that a volume was detached from a Node, as long as one watch lasts; without it, it is noticed at the
// next look.
func (c *Client) followDetach(ctx context.Context, node, version string, detached chan<- struct{}) {
	watching, err := c.Attachments.Watch(ctx, metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		return
	}
	defer watching.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, more := <-watching.ResultChan():
			if !more {
				return
			}
			if a, ok := event.Object.(*storagev1.VolumeAttachment); ok && event.Type == watch.Deleted && a.Spec.NodeName == node {
				poll.Offer(detached, struct{}{})
			}
		}
	}
}

// attached lists the persistent volumes that are attached to a Node, as of a version. No selector reaches the Node's name.
func (c *Client) attached(ctx context.Context, node string) (volumes []string, version string, err error) {
	o := metav1.ListOptions{Limit: attachmentsAPage}
	for {
		page, err := c.Attachments.List(ctx, o)
		if err != nil {
			return nil, "", fmt.Errorf("listing volume attachments: %w", err)
		}
		for _, a := range page.Items {
			if a.Spec.NodeName == node && a.Spec.Source.PersistentVolumeName != nil {
				volumes = append(volumes, *a.Spec.Source.PersistentVolumeName)
			}
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return volumes, page.ResourceVersion, nil
		}
	}
}

// attachmentsAPage bounds the memory for clusters with thousands of volumes.
const attachmentsAPage = 500

// volumesOn lists the persistent volumes of the pods that are on the Node now.
func (c *Client) volumesOn(ctx context.Context, node string) (volumes []string, err error) {
	pods, err := list(ctx, c.Pods(metav1.NamespaceAll), metav1.ListOptions{FieldSelector: unfinishedOn(node).String()})
	if err != nil {
		return nil, fmt.Errorf("listing pods on node %q: %w", node, err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		for _, name := range claimsOf(p) {
			claim, err := c.Claims(p.Namespace).Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading claim %q of pod %q: %w", name, key(p), err)
			}
			volumes = append(volumes, claim.Spec.VolumeName)
		}
	}
	return volumes, nil
}
