package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
)

const accounts = "../../workflows/base/accounts"

// shippedPolicies are the IAM policies that ship, by service account.
func shippedPolicies(cluster string) (map[string]iampolicy.Policy, error) {
	files, err := filepath.Glob(filepath.Join(accounts, "*.json"))
	if err != nil {
		return nil, err
	}
	policies := map[string]iampolicy.Policy{}
	for _, file := range files {
		document, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if policies[name], err = iampolicy.Parse([]byte(strings.ReplaceAll(string(document), "CLUSTER_NAME", cluster))); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
	}
	return policies, nil
}

// permissions are those of service accounts, as "account: verb resource" and "account: service:Action".
type permissions map[string]bool

// usedElsewhere are permissions that no scenario here needs, with the test that does, in virtual time.
var usedElsewhere = map[string]string{
	"eks-recycle-fleet: update leases.coordination.k8s.io": "TestAGroupCoolsDownForAsLongAsItIsTold",
	"eks-recycle: get persistentvolumeclaims":              "TestVolumesAreDetached",
	"eks-recycle: watch volumeattachments.storage.k8s.io":  "TestVolumesOfEvictedPods",
	"eks-recycle-sweep: watch pods":                        "TestSweepGoesForwardWithTheParametersOfTheWorkflow",
	"eks-recycle-sweep: create workflows.argoproj.io":      "TestASweepFindsLostEvents",
}

// usedIsGranted compares what all scenarios together asked of the API server with what ships: neither may have more. Of AWS it
// sees that nothing is used that is not granted; the tests of internal/cli see the rest. It is of use only after the whole
// suite has run.
func (s *suite) usedIsGranted(ctx context.Context) error {
	granted, err := s.granted(ctx)
	if err != nil {
		return err
	}
	used, err := s.used(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, p := range slices.Sorted(maps.Keys(used)) {
		if _, ok := granted[p]; !ok {
			all = append(all, fmt.Errorf("%s: used and not granted", p))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(granted)) {
		if !used[p] && granted[p] && usedElsewhere[p] == "" {
			all = append(all, fmt.Errorf("%s: granted and never used", p))
		}
	}
	fmt.Printf("      permissions: %d are granted, %d were used\n", len(granted), len(used))
	return errors.Join(all...)
}

// granted are the permissions that ship; true for those that have to be used here.
func (s *suite) granted(ctx context.Context) (permissions, error) {
	granted := permissions{}
	of := func(subjects []rbacv1.Subject, rules []rbacv1.PolicyRule) {
		for _, subject := range subjects {
			if subject.Kind != rbacv1.ServiceAccountKind || subject.Namespace != s.cluster.Namespace {
				continue
			}
			for _, rule := range rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						for _, verb := range rule.Verbs {
							granted[kubePermission(subject.Name, verb, resource, group)] = true
						}
					}
				}
			}
		}
	}
	rbac := s.kube.RbacV1()
	wide, err := rbac.ClusterRoleBindings().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=eks-recycle"})
	if err != nil {
		return nil, err
	}
	for _, b := range wide.Items {
		role, err := rbac.ClusterRoles().Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		of(b.Subjects, role.Rules)
	}
	narrow, err := rbac.RoleBindings(s.cluster.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=eks-recycle"})
	if err != nil {
		return nil, err
	}
	for _, b := range narrow.Items {
		role, err := rbac.Roles(s.cluster.Namespace).Get(ctx, b.RoleRef.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		of(b.Subjects, role.Rules)
	}
	for account, policy := range s.policies {
		for _, statement := range policy.Statement {
			for _, action := range statement.Action {
				granted[account+": "+action] = false
			}
		}
	}
	return granted, nil
}

func kubePermission(account, verb, resource, group string) string {
	return account + ": " + verb + " " + strings.TrimSuffix(resource+"."+group, ".")
}

// used reads the API server's audit log and the simulator's call log.
func (s *suite) used(ctx context.Context) (permissions, error) {
	used := permissions{}
	log, err := os.Open(s.cluster.AuditLog)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef *struct{ Resource, Subresource, APIGroup string }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("reading %s: %w", s.cluster.AuditLog, err)
		}
		if e.ObjectRef == nil { // discovery, which everybody may ask for
			continue
		}
		resource := strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
		used[kubePermission(strings.TrimPrefix(e.User.Username, "system:serviceaccount:"+s.cluster.Namespace+":"), e.Verb, resource, e.ObjectRef.APIGroup)] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.cluster.AuditLog, err)
	}
	var calls []struct{ Service, Action, AccessKeyID string }
	if err := s.control(ctx, http.MethodGet, "calls", nil, &calls); err != nil {
		return nil, err
	}
	for _, c := range calls {
		// A caller's identity is nobody's permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
		if _, ours := s.policies[c.AccessKeyID]; ours && c.Action != "GetCallerIdentity" {
			used[c.AccessKeyID+": "+cmp.Or(c.Service, "?")+":"+c.Action] = true
		}
	}
	return used, nil
}
