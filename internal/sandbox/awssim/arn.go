package awssim

import "strings"

// partition is the one of AWS's that the region belongs to, as ARNs name it.
func (s *Sim) partition() string {
	switch {
	case strings.HasPrefix(s.cfg.Region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(s.cfg.Region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// urlSuffix is the domain of the region's endpoints.
func (s *Sim) urlSuffix() string {
	if s.partition() == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// arn is that of a resource of the account in the region.
func (s *Sim) arn(service, resource string) string {
	return "arn:" + s.partition() + ":" + service + ":" + s.cfg.Region + ":" + s.cfg.AccountID + ":" + resource
}

// iamARN is that of a resource of IAM, which knows no regions.
func (s *Sim) iamARN(resource string) string {
	return "arn:" + s.partition() + ":iam::" + s.cfg.AccountID + ":" + resource
}

func (s *Sim) groupARN(id, name string) string {
	return s.arn("autoscaling", "autoScalingGroup:"+id+":autoScalingGroupName/"+name)
}

func (s *Sim) instanceARN(id string) string { return s.arn("ec2", "instance/"+id) }

func (s *Sim) clusterARN(name string) string { return s.arn("eks", "cluster/"+name) }

func (s *Sim) ruleARN(name string) string { return s.arn("events", "rule/"+name) }

func (s *Sim) queueARN(name string) string { return s.arn("sqs", name) }

// isQueueARN tells whether an ARN is a queue's, wherever.
func (s *Sim) isQueueARN(arn string) bool {
	return strings.HasPrefix(arn, "arn:"+s.partition()+":sqs:")
}

// userARN takes the access key for the name of a user.
func (s *Sim) userARN(accessKey string) string { return s.iamARN("user/" + accessKey) }
