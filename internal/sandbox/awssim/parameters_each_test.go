package awssim

import "testing"

func TestEveryActionSaysWhatItTakes(t *testing.T) {
	for name, service := range New(Config{}).services {
		if service.params == nil {
			continue
		}
		for action := range service.actions {
			if _, ok := service.params[action]; !ok {
				t.Errorf("%s of %s has no list of parameters", action, name)
			}
		}
		for action := range service.params {
			if _, ok := service.actions[action]; !ok {
				t.Errorf("%s lists parameters of %s, which is no action", name, action)
			}
		}
	}
}
