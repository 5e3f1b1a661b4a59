package terraform

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const (
	topic  = "arn:aws:sns:eu-central-1:111122223333:alarms"
	issuer = "oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
)

// Each resource of the template, with all of its properties, is one of the module, and the other way round.
func TestModuleMakesWhatTheTemplateMakes(t *testing.T) {
	for name, test := range map[string]struct {
		parameters map[string]any
		variables  []string
	}{
		"with EKS Pod Identity": {},
		"with IAM roles for service accounts": {
			map[string]any{"OidcProvider": issuer, "Namespace": "nodes"},
			[]string{"identity=irsa", "oidc_provider_arn=arn:aws:iam::111122223333:oidc-provider/" + issuer, "namespace=nodes"},
		},
		"with settings of one's own": {
			map[string]any{"AlarmTopicArn": topic, "HookName": "hook", "HeartbeatTimeout": 60.0, "QueueName": "queue", "MaxReceiveCount": 7.0, "AlarmNamePrefix": "page"},
			[]string{"alarm_topic_arn=" + topic, "hook_name=hook", "heartbeat_timeout=60", "queue_name=queue", "max_receive_count=7", "alarm_name_prefix=page"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			parameters := map[string]any{
				"AWS::AccountId": "111122223333", "AWS::Region": "eu-central-1", "AWS::Partition": "aws",
				"ClusterName": "prod", "GroupName": "prod-workers", "QueueName": "eks-recycle-prod",
			}
			maps.Copy(parameters, test.parameters)
			state := given(t).state(append(test.variables, "cluster_name=prod", "enable_events=true", `groups={workers="prod-workers"}`)...)
			if diff := cmp.Diff(stack(t, parameters), made(t, state)); diff != "" {
				t.Errorf("-template +module:\n%s", diff)
			}
		})
	}
}

// object is a resource of the template, by the names of its properties.
type object map[string]any

// properties are the template's names of a resource's arguments.
var properties = map[string]map[string]string{
	"aws_sqs_queue": {
		"name": "QueueName", "visibility_timeout_seconds": "VisibilityTimeout", "message_retention_seconds": "MessageRetentionPeriod",
		"sqs_managed_sse_enabled": "SqsManagedSseEnabled", "redrive_policy": "RedrivePolicy",
	},
	"aws_sqs_queue_policy":        {"queue_url": "Queues", "policy": "PolicyDocument"},
	"aws_cloudwatch_event_rule":   {"description": "Description", "event_pattern": "EventPattern"},
	"aws_cloudwatch_event_target": {"target_id": "Id", "arn": "Arn"},
	"aws_autoscaling_lifecycle_hook": {
		"autoscaling_group_name": "AutoScalingGroupName", "name": "LifecycleHookName", "lifecycle_transition": "LifecycleTransition",
		"default_result": "DefaultResult", "heartbeat_timeout": "HeartbeatTimeout",
	},
	"aws_iam_policy":                   {"policy": "PolicyDocument"},
	"aws_iam_role":                     {"assume_role_policy": "AssumeRolePolicyDocument"},
	"aws_eks_pod_identity_association": {"cluster_name": "ClusterName", "namespace": "Namespace", "service_account": "ServiceAccount", "role_arn": "RoleArn"},
}

// The template's names of what the module makes for events. A rule has the same name in both.
var logicalIDs = map[string]string{
	"aws_sqs_queue.this[0]":                                       "Queue",
	"aws_sqs_queue.dead[0]":                                       "DeadLetters",
	"aws_sqs_queue_policy.this[0]":                                "QueuePolicy",
	`aws_autoscaling_lifecycle_hook.this["workers"]`:              "Hook",
	"aws_iam_policy.event_source[0]":                              "EventSourcePolicy",
	`aws_iam_role.this["eks-recycle-sqs"]`:                        "EventSourceRole",
	`aws_eks_pod_identity_association.this["eks-recycle-sqs"]`:    "EventSourceAssociation",
	`aws_iam_policy.this["eks-recycle-events"]`:                   "DispatcherPolicy",
	`aws_iam_role.this["eks-recycle-events"]`:                     "DispatcherRole",
	`aws_eks_pod_identity_association.this["eks-recycle-events"]`: "DispatcherAssociation",
}

// What the template leaves to CloudFormation, or says of another resource.
var incidental = []string{"name", "path", "description", "rule", "role", "policy_arn"}

var (
	key = regexp.MustCompile(`\["(\w+)"\]$`)
	// What the module makes without events.
	steps = regexp.MustCompile(`^(data\.|aws_(iam_role|iam_policy|iam_role_policy_attachment|eks_pod_identity_association)\.this\["eks-recycle(-fleet|-sweep|-reap)?"\]$)`)
)

// made is what the module makes for events, as the template would say it.
func made(t *testing.T, state map[string]map[string]any) map[string]object {
	t.Helper()
	id := func(address string) string {
		if strings.HasPrefix(address, "aws_cloudwatch_event_rule.") {
			return key.FindStringSubmatch(address)[1]
		}
		return logicalIDs[address]
	}
	references := map[any]string{}
	roles := map[any]string{}
	for address, values := range state {
		switch kind, _, _ := strings.Cut(address, "."); {
		case id(address) == "":
		case kind == "aws_iam_policy":
			references[values["arn"]] = "ref " + id(address)
		default:
			references[values["arn"]] = id(address) + ".Arn"
			if kind == "aws_sqs_queue" {
				references[values["url"]] = "ref " + id(address)
			}
			roles[values["name"]] = id(address)
		}
	}
	delete(references, nil)

	all := map[string]object{}
	objectOf := func(id string) object {
		if all[id] == nil {
			all[id] = object{}
		}
		return all[id]
	}
	for address, values := range state {
		if steps.MatchString(address) {
			continue
		}
		kind, _, _ := strings.Cut(address, ".")
		of := object{}
		for name, value := range values {
			property, known := properties[kind][name]
			text, _ := value.(string)
			switch {
			case value == nil || cmp.Equal(value, map[string]any{}) || strings.HasPrefix(text, kind+":"): // the module does not set it
			case known:
				of[property] = resolved(value, references)
			case !slices.Contains(incidental, name):
				of[name] = value // which the template does not set
			}
		}
		switch {
		case kind == "aws_cloudwatch_event_target":
			objectOf(roles[values["rule"]])["Targets"] = []any{map[string]any(of)}
		case kind == "aws_iam_role_policy_attachment":
			objectOf(roles[values["role"]])["ManagedPolicyArns"] = []any{resolved(values["policy_arn"], references)}
		case id(address) == "":
			t.Errorf("the template does not make %s", address)
		default:
			if queue, is := of["Queues"]; is {
				of["Queues"] = []any{queue}
			}
			maps.Copy(objectOf(id(address)), of)
		}
	}
	return all
}

// resolved puts names for what AWS makes up, reads JSON, and sorts lists of strings, whose order means nothing here.
func resolved(v any, references map[any]string) any {
	switch v := v.(type) {
	case string:
		if reference, is := references[v]; is {
			return reference
		}
		var document map[string]any
		if json.Unmarshal([]byte(v), &document) == nil {
			return resolved(document, references)
		}
		return v
	case map[string]any:
		out := map[string]any{}
		for key := range v {
			out[key] = resolved(v[key], references)
		}
		return out
	case []any:
		out := []any{}
		for _, item := range v {
			out = append(out, resolved(item, references))
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return out
	default:
		return v
	}
}

// stack is what the template makes. Names of resources stand for what AWS makes up.
func stack(t *testing.T, parameters map[string]any) map[string]object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "workflows", "components", "events", "aws", "events.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Parameters map[string]struct {
			Default yaml.Node `yaml:"Default"`
		} `yaml:"Parameters"`
		Conditions map[string]yaml.Node `yaml:"Conditions"`
		Resources  map[string]struct {
			Type       string    `yaml:"Type"`
			Condition  string    `yaml:"Condition"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	in := intrinsics{T: t, names: map[string]any{"AWS::NoValue": nil}, conditions: file.Conditions}
	for name := range file.Resources {
		in.names[name], in.names[name+".Arn"] = "ref "+name, name+".Arn"
	}
	for name, p := range file.Parameters {
		in.names[name] = in.value(p.Default)
	}
	maps.Copy(in.names, parameters)
	all := map[string]object{}
	for name, r := range file.Resources {
		if r.Condition != "" && in.condition(r.Condition) != true {
			continue
		}
		properties, _ := resolved(in.value(r.Properties), nil).(map[string]any)
		if strings.HasPrefix(r.Type, "AWS::IAM::") {
			delete(properties, "Description") // the module's also says of which cluster
		}
		all[name] = properties
	}
	return all
}

// intrinsics are CloudFormation's functions, those that the template uses.
type intrinsics struct {
	*testing.T
	names      map[string]any
	conditions map[string]yaml.Node
}

func (in intrinsics) name(n yaml.Node, name string) any {
	in.Helper()
	v, known := in.names[name]
	if !known {
		in.Fatalf("line %d: nothing says what %s is", n.Line, name)
	}
	return v
}

func (in intrinsics) condition(name string) any {
	in.Helper()
	c, known := in.conditions[name]
	if !known {
		in.Fatalf("there is no condition %s", name)
	}
	return in.value(c)
}

var placeholder = regexp.MustCompile(`\$\{([^}]+)\}`)

// value is nil for AWS::NoValue.
func (in intrinsics) value(n yaml.Node) any {
	in.Helper()
	argument := func(i int) any { return in.value(*n.Content[i]) }
	switch n.Tag {
	case "!Ref", "!GetAtt":
		return in.name(n, n.Value)
	case "!Sub":
		return placeholder.ReplaceAllStringFunc(n.Value, func(p string) string { return fmt.Sprint(in.name(n, p[2:len(p)-1])) })
	case "!Condition":
		return in.condition(n.Value)
	case "!Equals":
		return argument(0) == argument(1)
	case "!Not":
		return argument(0) != true
	case "!Or":
		return argument(0) == true || argument(1) == true
	case "!If":
		if in.condition(n.Content[0].Value) == true {
			return argument(1)
		}
		return argument(2)
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			if v := argument(i + 1); v != nil {
				out[n.Content[i].Value] = v
			}
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for i := range n.Content {
			if v := argument(i); v != nil {
				out = append(out, v)
			}
		}
		return out
	default:
		var v any
		if err := n.Decode(&v); err != nil {
			in.Fatalf("line %d: %v", n.Line, err)
		}
		if i, is := v.(int); is {
			return float64(i) // as JSON has it
		}
		return v
	}
}
