package cli_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/iampolicy"
)

// accountOf is the service account that runs a step in the shipped WorkflowTemplates.
func accountOf(step string) string {
	switch step {
	case "fleet", "admit", "select", "report":
		return "eks-recycle-fleet"
	case "sweep", "reap":
		return "eks-recycle-" + step
	case "event":
		return "eks-recycle-events"
	default:
		return "eks-recycle"
	}
}

// usedOfAWS has what the steps of all tests asked of AWS, as "account: service:Action".
var usedOfAWS sync.Map

func noteUse(c awssim.Change) {
	if c.Call != nil && strings.HasPrefix(c.Call.AccessKey, "eks-recycle") {
		usedOfAWS.Store(c.Call.AccessKey+": "+c.Call.Service+":"+c.Call.Action, true)
	}
}

// The tests of this package together use each action that the IAM policies grant, and no other. What a call may act on is
// checked by the e2e suite, and in test/workflows.
func TestMain(m *testing.M) {
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.list").Value.String() == ""; all && code == 0 {
		if wrong, err := usedIsGranted(); err != nil || len(wrong) > 0 {
			fmt.Printf("--- FAIL: IAM policies in workflows/base/accounts: %v\n%s\n", err, strings.Join(wrong, "\n"))
			code = 1
		}
	}
	os.Exit(code)
}

func usedIsGranted() (wrong []string, err error) {
	granted := map[string]bool{}
	files, err := filepath.Glob("../../workflows/base/accounts/*.json")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		policy, err := iampolicy.Parse(text)
		if err != nil {
			return nil, err
		}
		for _, s := range policy.Statement {
			for _, action := range s.Action {
				granted[strings.TrimSuffix(filepath.Base(file), ".json")+": "+action] = true
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(granted)) {
		// For the flag cluster, asked when the clients are made: TestStepsFromALaptop of the e2e suite.
		if _, used := usedOfAWS.Load(p); !used && !strings.HasSuffix(p, " eks:DescribeCluster") {
			wrong = append(wrong, p+" is granted and never used")
		}
	}
	usedOfAWS.Range(func(p, _ any) bool {
		if p, ok := p.(string); ok && !granted[p] {
			wrong = append(wrong, p+" is used and not granted")
		}
		return true
	})
	slices.Sort(wrong)
	return wrong, nil
}
