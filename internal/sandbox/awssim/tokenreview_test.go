package awssim_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

func TestTokenReview(t *testing.T) {
	token := func(w *world, cluster string, creds aws.Credentials) string {
		client := sts.New(sts.Options{Region: region, BaseEndpoint: aws.String("http://10.96.0.1:4566"),
			Credentials: aws.NewCredentialsCache(staticCredentials(creds))})
		signed, err := sts.NewPresignClient(client).PresignGetCallerIdentity(w.ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
			o.ClientOptions = append(o.ClientOptions, func(o *sts.Options) {
				o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("x-k8s-aws-id", cluster))
			})
			o.Presigner = expiring{v4.NewSigner()}
		})
		w.ok(err)
		return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(signed.URL))
	}
	good := aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}
	for _, c := range []struct {
		name  string
		token func(w *world) string
		user  string
		fault string
	}{
		{"a good one", func(w *world) string { return token(w, "sandbox", good) }, "arn:aws:iam::000000000000:user/sandbox", ""},
		{"still good after 14 minutes", func(w *world) string { s := token(w, "sandbox", good); w.pass(14 * time.Minute); return s }, "arn:aws:iam::000000000000:user/sandbox", ""},
		{"too old after 15 minutes", func(w *world) string { s := token(w, "sandbox", good); w.pass(15*time.Minute + time.Second); return s }, "", "not valid now"},
		{"for another cluster", func(w *world) string { return token(w, "other", good) }, "", "signature does not match"},
		{"with a wrong secret", func(w *world) string {
			return token(w, "sandbox", aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "x"})
		}, "", "signature does not match"},
		{"of a stranger", func(w *world) string {
			return token(w, "sandbox", aws.Credentials{AccessKeyID: "x", SecretAccessKey: "x"})
		}, "", "access key"},
		{"of another kind", func(*world) string { return "abc" }, "", "does not begin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				body, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": map[string]any{}, "spec": map[string]any{"token": c.token(w), "audiences": []string{"x"}}})
				w.ok(err)
				answer := httptest.NewRecorder()
				w.sim.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/_sim/tokenreview", strings.NewReader(string(body))))
				var review struct {
					APIVersion string
					Status     struct {
						Authenticated bool
						Error         string
						User          struct {
							Username string
							Groups   []string
						}
					}
				}
				w.ok(json.Unmarshal(answer.Body.Bytes(), &review))
				w.want(review.APIVersion, "authentication.k8s.io/v1", "version")
				w.want(review.Status.Authenticated, c.user != "", "authenticated")
				w.want(review.Status.User.Username, c.user, "user")
				if c.user != "" {
					w.want(review.Status.User.Groups, []string{"eks-recycle"}, "groups")
				}
				if !strings.Contains(review.Status.Error, c.fault) {
					w.Errorf("error is %q, want %q", review.Status.Error, c.fault)
				}
			})
		})
	}
}

func staticCredentials(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// expiring puts the X-Amz-Expires that EKS wants into the presigned query.
type expiring struct{ *v4.Signer }

func (e expiring) PresignHTTP(ctx context.Context, c aws.Credentials, r *http.Request, hash, service, region string, at time.Time, opts ...func(*v4.SignerOptions)) (string, http.Header, error) {
	q := r.URL.Query()
	q.Set("X-Amz-Expires", "60")
	r.URL.RawQuery = q.Encode()
	return e.Signer.PresignHTTP(ctx, c, r, hash, service, region, at, opts...)
}
