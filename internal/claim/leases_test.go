package claim_test

import (
	"context"
	"strconv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// leases is an API server's Leases with what client-go's fake lacks: resource versions that are checked, deletions with
// preconditions, latency and absence.
type leases struct {
	mu      sync.Mutex
	stored  map[string]*coordinationv1.Lease
	version int
	writes  int
	latency time.Duration // before each call takes effect
	away    bool
}

func newLeases() *leases { return &leases{stored: map[string]*coordinationv1.Lease{}} }

var resource = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (l *leases) get(name string) *coordinationv1.Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored[name].DeepCopy()
}

// edit changes a Lease as somebody else would.
func (l *leases) edit(name string, change func(*coordinationv1.Lease)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lease := l.stored[name].DeepCopy()
	change(lease)
	l.store(lease)
}

func (l *leases) store(lease *coordinationv1.Lease) *coordinationv1.Lease {
	l.version++
	lease = lease.DeepCopy()
	lease.ResourceVersion = strconv.Itoa(l.version)
	l.stored[lease.Name] = lease
	return lease.DeepCopy()
}

// call does something after the latency, unless the API server is away.
func (l *leases) call(ctx context.Context, name string, do func(there *coordinationv1.Lease) (*coordinationv1.Lease, error)) (*coordinationv1.Lease, error) {
	select {
	case <-time.After(l.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, apierrors.NewServiceUnavailable("the API server is away")
	}
	there := l.stored[name]
	if there == nil && do == nil {
		return nil, apierrors.NewNotFound(resource, name)
	}
	if do == nil {
		return there.DeepCopy(), nil
	}
	l.writes++
	return do(there)
}

func (l *leases) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	return l.call(ctx, name, nil)
}

func (l *leases) Create(ctx context.Context, lease *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return l.call(ctx, lease.Name, func(there *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		if there != nil {
			return nil, apierrors.NewAlreadyExists(resource, lease.Name)
		}
		lease = lease.DeepCopy()
		lease.UID = types.UID("uid-" + strconv.Itoa(l.version))
		return l.store(lease), nil
	})
}

func (l *leases) Update(ctx context.Context, lease *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return l.call(ctx, lease.Name, func(there *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		switch {
		case there == nil:
			return nil, apierrors.NewNotFound(resource, lease.Name)
		case there.ResourceVersion != lease.ResourceVersion:
			return nil, apierrors.NewConflict(resource, lease.Name, nil)
		}
		return l.store(lease), nil
	})
}

func (l *leases) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	_, err := l.call(ctx, name, func(there *coordinationv1.Lease) (*coordinationv1.Lease, error) {
		p := options.Preconditions
		switch {
		case there == nil:
			return nil, apierrors.NewNotFound(resource, name)
		case p != nil && ((p.UID != nil && *p.UID != there.UID) || (p.ResourceVersion != nil && *p.ResourceVersion != there.ResourceVersion)):
			return nil, apierrors.NewConflict(resource, name, nil)
		}
		delete(l.stored, name)
		return nil, nil
	})
	return err
}

func (l *leases) List(ctx context.Context, options metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	list := &coordinationv1.LeaseList{}
	for _, lease := range l.stored {
		if selector.Matches(labels.Set(lease.Labels)) {
			list.Items = append(list.Items, *lease.DeepCopy())
		}
	}
	return list, nil
}
