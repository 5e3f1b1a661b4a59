package sandbox

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// yamlText renders a value made of maps, lists, strings and numbers, which cannot fail to render.
func yamlText(v any) string {
	out, err := yaml.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("rendering YAML: %v", err))
	}
	return string(out)
}
