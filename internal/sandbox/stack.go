package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// ApplyStack has the simulator at endpoint make what a CloudFormation template in a file holds, as users have AWS do it.
// Applied again under the same name, it brings what is there up to date.
func ApplyStack(ctx context.Context, endpoint, name, file string, parameters map[string]string) (awssim.Stack, error) {
	var stack awssim.Stack
	template, err := os.ReadFile(file)
	if err != nil {
		return stack, fmt.Errorf("applying stack %q: %w", name, err)
	}
	body, err := json.Marshal(map[string]any{"template": string(template), "parameters": parameters})
	if err != nil {
		return stack, fmt.Errorf("applying stack %q: %w", name, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, endpoint+"/_sim/stacks/"+url.PathEscape(name), bytes.NewReader(body))
	if err != nil {
		return stack, fmt.Errorf("applying stack %q: %w", name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return stack, fmt.Errorf("applying stack %q: %w", name, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return stack, fmt.Errorf("applying stack %q: %w", name, err)
	}
	if response.StatusCode != http.StatusOK {
		return stack, fmt.Errorf("applying stack %q: %s: %s", name, response.Status, lastLine(string(answer)))
	}
	if err := json.Unmarshal(answer, &stack); err != nil {
		return stack, fmt.Errorf("applying stack %q: %w", name, err)
	}
	return stack, nil
}
