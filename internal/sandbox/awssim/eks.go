package awssim

import "net/http"

func (s *Sim) describeCluster(r *request) (any, error) {
	if r.action != "DescribeCluster" {
		return nil, &apiError{"UnknownOperationException", "the simulator knows no " + r.action, http.StatusNotFound}
	}
	name := r.str("name")
	if name != s.cfg.ClusterName {
		return nil, &apiError{"ResourceNotFoundException", "No cluster found for name: " + name + ".", http.StatusNotFound}
	}
	// JSON times of AWS are seconds since the epoch.
	return map[string]any{"cluster": map[string]any{
		"name": name, "arn": s.clusterARN(name), "createdAt": 1700000000.0, "version": s.cfg.ClusterVersion,
		"endpoint": s.cfg.ClusterEndpoint, "certificateAuthority": map[string]string{"data": s.cfg.ClusterCA},
		"roleArn": s.iamARN("role/" + name), "status": "ACTIVE", "platformVersion": "eks.1",
		"resourcesVpcConfig": map[string]any{"vpcId": vpcID, "subnetIds": []string{}, "securityGroupIds": []string{}, "endpointPublicAccess": true},
		"tags":               map[string]string{},
	}}, nil
}
