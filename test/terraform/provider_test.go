package terraform

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

//go:embed schema.json
var schemaText []byte

// attributes are the names and types of a resource, as "set(string) optional computed".
type attributes map[string]string

type schemas struct {
	Resources   map[string]attributes
	DataSources map[string]attributes
}

// serve stands in for hashicorp/aws: it knows what arguments there are, and applies what it is told. Nothing is made.
func serve() error {
	var s schemas
	if err := json.Unmarshal(schemaText, &s); err != nil {
		return fmt.Errorf("reading schema.json: %w", err)
	}
	return tf6server.Serve("registry.terraform.io/hashicorp/aws", func() tfprotov6.ProviderServer { return provider{s: s} })
}

func typeOf(definition string) tftypes.Type {
	name, _, _ := strings.Cut(definition, " ")
	switch name {
	case "bool":
		return tftypes.Bool
	case "number":
		return tftypes.Number
	case "map(string)":
		return tftypes.Map{ElementType: tftypes.String}
	case "list(string)":
		return tftypes.List{ElementType: tftypes.String}
	case "set(string)":
		return tftypes.Set{ElementType: tftypes.String}
	default:
		return tftypes.String
	}
}

func (a attributes) schema() *tfprotov6.Schema {
	block := &tfprotov6.SchemaBlock{}
	for name, definition := range a {
		block.Attributes = append(block.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: typeOf(definition), Required: strings.Contains(definition, "required"),
			Optional: strings.Contains(definition, "optional"), Computed: strings.Contains(definition, "computed"),
		})
	}
	return &tfprotov6.Schema{Block: block}
}

type provider struct {
	tfprotov6.ProviderServer
	s schemas
}

func (p provider) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	out := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{}}
	for name := range p.s.Resources {
		out.Resources = append(out.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range p.s.DataSources {
		out.DataSources = append(out.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return out, nil
}

func (p provider) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	out := &tfprotov6.GetProviderSchemaResponse{
		Provider:        attributes{"region": "string optional"}.schema(),
		ResourceSchemas: map[string]*tfprotov6.Schema{}, DataSourceSchemas: map[string]*tfprotov6.Schema{}, ServerCapabilities: &tfprotov6.ServerCapabilities{},
	}
	for name, a := range p.s.Resources {
		out.ResourceSchemas[name] = a.schema()
	}
	for name, a := range p.s.DataSources {
		out.DataSourceSchemas[name] = a.schema()
	}
	return out, nil
}

func (provider) ValidateProviderConfig(_ context.Context, in *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: in.Config}, nil
}

func (provider) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (provider) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (provider) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (provider) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

// What AWS would say: the account, and an ARN that tells what it is of.
var known = map[string]string{"partition": "aws", "account_id": "111122223333", "aws_region.id": "eu-central-1"}

// computed fills what AWS computes: with unknowns in a plan, and with values at its end.
func computed(of string, a attributes, in *tfprotov6.DynamicValue, apply bool) (*tfprotov6.DynamicValue, error) {
	t := a.schema().ValueType()
	v, err := in.Unmarshal(t)
	if err != nil || v.IsNull() {
		return in, err
	}
	values := map[string]tftypes.Value{}
	if err := v.As(&values); err != nil {
		return nil, err
	}
	name := of
	for _, key := range []string{"name", "alarm_name"} {
		var text string
		if n, ok := values[key]; ok && n.IsKnown() && !n.IsNull() && n.As(&text) == nil {
			name = text
		}
	}
	for key, definition := range a {
		if !strings.Contains(definition, "computed") || (values[key].IsKnown() && !values[key].IsNull()) {
			continue
		}
		switch {
		case !apply:
			values[key] = tftypes.NewValue(typeOf(definition), tftypes.UnknownValue)
		case strings.HasPrefix(definition, "string"):
			values[key] = tftypes.NewValue(tftypes.String, cmp.Or(known[of+"."+key], known[key], of+":"+name+":"+key))
		default:
			values[key] = tftypes.NewValue(typeOf(definition), nil)
		}
	}
	out, err := tfprotov6.NewDynamicValue(t, tftypes.NewValue(t, values))
	return &out, err
}

func (p provider) PlanResourceChange(_ context.Context, in *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	v, err := computed(in.TypeName, p.s.Resources[in.TypeName], in.ProposedNewState, false)
	return &tfprotov6.PlanResourceChangeResponse{PlannedState: v}, err
}

func (p provider) ApplyResourceChange(_ context.Context, in *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	v, err := computed(in.TypeName, p.s.Resources[in.TypeName], in.PlannedState, true)
	return &tfprotov6.ApplyResourceChangeResponse{NewState: v}, err
}

func (provider) ReadResource(_ context.Context, in *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: in.CurrentState}, nil
}

func (p provider) ReadDataSource(_ context.Context, in *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	v, err := computed(in.TypeName, p.s.DataSources[in.TypeName], in.Config, true)
	return &tfprotov6.ReadDataSourceResponse{State: v}, err
}

func (p provider) UpgradeResourceState(_ context.Context, in *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	t := p.s.Resources[in.TypeName].schema().ValueType()
	v, err := in.RawState.Unmarshal(t)
	if err != nil {
		return nil, err
	}
	out, err := tfprotov6.NewDynamicValue(t, v)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &out}, err
}

func (provider) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (provider) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}
