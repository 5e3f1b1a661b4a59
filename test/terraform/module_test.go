// Package terraform checks the Terraform module with the real terraform and a stand-in for its provider: it is formatted and valid,
// its own tests pass, and what it makes is what the CloudFormation template and the shipped IAM policies say.
package terraform

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const root = "../.."

// asProvider makes this program be the provider when terraform starts it.
const asProvider = "EKS_RECYCLE_STUB_PROVIDER"

func TestMain(m *testing.M) {
	if os.Getenv(asProvider) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// module is a copy of the module, with the policies that it reads.
type module struct {
	*testing.T
	folder string // that holds terraform/ and workflows/
	config string
}

func given(t *testing.T) module {
	t.Helper()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Fatalf("%v: install Terraform, https://developer.hashicorp.com/terraform/install", err)
	}
	m := module{T: t, folder: t.TempDir(), config: filepath.Join(t.TempDir(), "terraformrc")}
	for _, folder := range []string{"terraform", "workflows/base/accounts"} {
		m.copy(folder)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	plugins := t.TempDir()
	if err := os.Symlink(own, filepath.Join(plugins, "terraform-provider-aws")); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("provider_installation {\n  dev_overrides { \"hashicorp/aws\" = %q }\n  direct {}\n}\n", plugins)
	if err := os.WriteFile(m.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m module) copy(folder string) {
	m.Helper()
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		m.write(rel, string(content))
		return nil
	})
	if err != nil {
		m.Fatal(err)
	}
}

func (m module) write(name, content string) {
	m.Helper()
	to := filepath.Join(m.folder, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(to, []byte(content), 0o600); err != nil {
		m.Fatal(err)
	}
}

// terraform runs it in a folder of the module.
func (m module) terraform(folder string, args ...string) (string, error) {
	m.Helper()
	c := exec.CommandContext(m.Context(), "terraform", append([]string{"-chdir=" + filepath.Join(m.folder, folder)}, args...)...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.TempDir(), "TF_CLI_CONFIG_FILE=" + m.config, "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", asProvider + "=1"}
	out, err := c.CombinedOutput()
	return string(out), err
}

func (m module) must(folder string, args ...string) string {
	m.Helper()
	out, err := m.terraform(folder, args...)
	if err != nil {
		m.Fatalf("terraform %s in %s: %v\n%s", strings.Join(args, " "), folder, err, out)
	}
	return out
}

func TestModuleIsFormattedAndValid(t *testing.T) {
	m := given(t)
	m.must("terraform", "fmt", "-check", "-recursive", "-diff")
	examples, err := filepath.Glob(filepath.Join(m.folder, "terraform", "examples", "*"))
	if err != nil || len(examples) == 0 {
		t.Fatal("there are no examples", err)
	}
	folders := []string{"terraform"}
	for _, example := range examples {
		folders = append(folders, "terraform/examples/"+filepath.Base(example))
	}
	for _, folder := range folders {
		m.must(folder, "get")
		m.must(folder, "validate", "-no-color")
		if folder != "terraform" {
			m.must(folder, "plan", "-no-color", "-input=false")
		}
	}
}

// The stand-in knows the provider's arguments: a misspelt one is not taken.
func TestAMisspeltArgumentIsRefused(t *testing.T) {
	m := given(t)
	file := filepath.Join(m.folder, "terraform", "main.tf")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	misspelt := strings.Replace(string(text), "permissions_boundary ", "permission_boundary ", 1)
	m.write("terraform/main.tf", misspelt)
	if out, err := m.terraform("terraform", "validate", "-no-color"); err == nil || !strings.Contains(out, `An argument named "permission_boundary" is not expected here`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestModulesOwnTests(t *testing.T) {
	m := given(t)
	m.must("terraform", "get", "-test-directory=tests")
	out := m.must("terraform", "test", "-no-color")
	if !regexp.MustCompile(`Success! [1-9][0-9]* passed, 0 failed`).MatchString(out) {
		t.Error(out)
	}
	t.Log(out[strings.LastIndex(out, "Success!"):])
}

// show reads a plan, or the state if none is named.
func (m module) show(into any, plan ...string) {
	m.Helper()
	// The warning about development overrides comes first.
	out := m.must("terraform", append([]string{"show", "-json"}, plan...)...)
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{\"format_version"):]), into); err != nil {
		m.Fatal(err)
	}
}

// state is what the module makes, by address.
func (m module) state(variables ...string) map[string]map[string]any {
	m.Helper()
	args := []string{"apply", "-auto-approve", "-no-color", "-input=false"}
	for _, v := range variables {
		args = append(args, "-var", v)
	}
	m.must("terraform", args...)
	var shown struct {
		Values struct {
			RootModule struct {
				Resources []struct {
					Address string
					Values  map[string]any
				}
			} `json:"root_module"`
		}
	}
	m.show(&shown)
	all := map[string]map[string]any{}
	for _, r := range shown.Values.RootModule.Resources {
		all[r.Address] = r.Values
	}
	return all
}

func TestModuleHasTheShippedPolicies(t *testing.T) {
	m := given(t)
	state := m.state("cluster_name=prod", "enable_events=true")
	files, err := filepath.Glob(filepath.Join(root, "workflows", "base", "accounts", "*.json"))
	if err != nil || len(files) != 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		account := strings.TrimSuffix(filepath.Base(file), ".json")
		policy := state[fmt.Sprintf("aws_iam_policy.this[%q]", account)]
		if policy == nil || policy["policy"] != strings.ReplaceAll(string(text), "CLUSTER_NAME", "prod") {
			t.Errorf("%s has the policy %v", account, policy)
		}
	}
}

func TestModuleWithoutItsPoliciesIsRefused(t *testing.T) {
	m := given(t)
	if err := os.RemoveAll(filepath.Join(m.folder, "workflows")); err != nil {
		t.Fatal(err)
	}
	if out, err := m.terraform("terraform", "plan", "-no-color", "-input=false", "-var=cluster_name=prod"); err == nil || !strings.Contains(out, "there are no policies in ./../workflows/base/accounts") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Names that other resources make are known only after apply. Keys of what is made must not depend on them.
func TestModulePlansWithWhatIsNotKnownYet(t *testing.T) {
	m := given(t)
	m.write("terraform/unknown/main.tf", `
resource "terraform_data" "later" {
  input = "x"
}

module "eks_recycle" {
  source                    = "./.."
  cluster_name              = terraform_data.later.output
  other_clusters            = ["staging"]
  identity                  = "irsa"
  oidc_provider_arn         = terraform_data.later.output
  permissions_boundary_arn  = terraform_data.later.output
  enable_events             = true
  groups                    = { workers = terraform_data.later.output }
  alarm_topic_arn           = terraform_data.later.output
  dead_letter_alarm_actions = [terraform_data.later.output]
}
`)
	m.must("terraform/unknown", "get")
	m.must("terraform/unknown", "plan", "-no-color", "-input=false")
}

// The tables of the module's page list each input and output, and the defaults.
func TestModulesPageIsComplete(t *testing.T) {
	m := given(t)
	m.must("terraform", "plan", "-no-color", "-input=false", "-var=cluster_name=prod", "-out=plan")
	var shown struct {
		Configuration struct {
			RootModule struct {
				Variables, Outputs map[string]struct{ Default any }
			} `json:"root_module"`
		}
	}
	m.show(&shown, "plan")
	var want []string
	for name, v := range shown.Configuration.RootModule.Variables {
		fallback := ""
		if v.Default != nil && v.Default != "" {
			text, err := json.Marshal(v.Default)
			if err != nil {
				t.Fatal(err)
			}
			fallback = "`" + strings.Trim(string(text), `"`) + "` "
		}
		want = append(want, fmt.Sprintf("| `%s` | %s|", name, fallback))
	}
	for name := range shown.Configuration.RootModule.Outputs {
		want = append(want, fmt.Sprintf("| `%s` |", name))
	}
	page, err := os.ReadFile(filepath.Join(root, "terraform", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "\n## Inputs\n")
	inputs, outputs, _ := strings.Cut(tables, "\n## Outputs\n")
	got := regexp.MustCompile("(?m)^\\| `\\w+` \\| (`[^|]*` )?\\|").FindAllString(inputs, -1)
	got = append(got, regexp.MustCompile("(?m)^\\| `\\w+` \\|").FindAllString(outputs, -1)...)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inputs with defaults, and outputs (-module +page):\n%s", diff)
	}
}
