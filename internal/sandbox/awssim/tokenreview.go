package awssim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	tokenPrefix = "k8s-aws-v1."
	clusterID   = "x-k8s-aws-id"
	tokenLife   = 15 * time.Minute
)

type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       *struct {
		Token string `json:"token"`
	} `json:"spec,omitempty"`
	Status tokenStatus `json:"status"`
}

type tokenStatus struct {
	Authenticated bool       `json:"authenticated"`
	User          *tokenUser `json:"user,omitempty"`
	Error         string     `json:"error,omitempty"`
}

type tokenUser struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// reviewToken does what EKS does with a token: it takes the presigned call in
// it, adds the name of the cluster, and asks STS who that is. A token for
// another cluster has a signature that does not fit.
func (s *Sim) reviewToken(w http.ResponseWriter, r *http.Request) {
	var review tokenReview
	// Kubernetes may send fields of later versions.
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&review)
	if err != nil || review.Spec == nil {
		http.Error(w, "want a TokenReview with a spec", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	user, err := s.tokenUser(review.Spec.Token)
	log := s.cfg.Log
	s.mu.Unlock()
	answer := tokenReview{APIVersion: review.APIVersion, Kind: "TokenReview", Status: tokenStatus{Authenticated: err == nil, User: user}}
	if err != nil {
		answer.Status.Error = err.Error()
		log.Info("token refused", "error", err)
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Sim) tokenUser(token string) (*tokenUser, error) {
	encoded, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return nil, fmt.Errorf("token does not begin with %q", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding token: %w", err)
	}
	call, err := url.Parse(string(raw))
	if err != nil {
		return nil, fmt.Errorf("parsing presigned URL: %w", err)
	}
	q := call.Query()
	if q.Get("Action") != "GetCallerIdentity" {
		return nil, fmt.Errorf("presigned action is %q, want GetCallerIdentity", q.Get("Action"))
	}
	who, ok := scopeOf(nil, q)
	if !ok || who.service != "sts" {
		return nil, fmt.Errorf("credential %q is not one for sts", q.Get("X-Amz-Credential"))
	}
	signed, err := time.Parse("20060102T150405Z", q.Get("X-Amz-Date"))
	if err != nil {
		return nil, fmt.Errorf("parsing X-Amz-Date: %w", err)
	}
	if seconds, err := strconv.Atoi(q.Get("X-Amz-Expires")); err != nil || seconds < 0 || seconds > 900 {
		return nil, fmt.Errorf("X-Amz-Expires is %q, want 0 to 900 seconds", q.Get("X-Amz-Expires"))
	}
	// A token lives 15 minutes whatever its X-Amz-Expires says.
	if age := time.Since(signed); age > tokenLife || age < -5*time.Minute {
		return nil, fmt.Errorf("token was signed at %s and is not valid now", stamp(signed))
	}
	secret, ok := s.cfg.SecretKeys[who.accessKey]
	if !ok {
		return nil, fmt.Errorf("access key %q is unknown", who.accessKey)
	}
	headers := map[string]string{"host": call.Host, clusterID: s.cfg.ClusterName}
	if err := verifyPresigned(call, headers, who, secret); err != nil {
		return nil, fmt.Errorf("checking token for cluster %q: %w", s.cfg.ClusterName, err)
	}
	arn := s.userARN(who.accessKey)
	return &tokenUser{
		Username: arn, UID: "aws-iam-authenticator:" + s.cfg.AccountID + ":" + who.accessKey, Groups: slices.Clone(s.cfg.TokenGroups),
		Extra: map[string][]string{"accessKeyId": {who.accessKey}, "arn": {arn}, "canonicalArn": {arn}, "principalId": {who.accessKey}, "sessionName": {""}},
	}, nil
}
