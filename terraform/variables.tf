variable "cluster_name" {
  description = "EKS cluster that the workflows run in, and whose nodes they recycle"
  type        = string

  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.cluster_name))
    error_message = "cluster_name must be the name of an EKS cluster: letters, digits, _ and -, at most 100."
  }
}

variable "other_clusters" {
  description = "Further EKS clusters of this account and region whose nodes the workflows recycle. Each gets access entries; apply workflows/overlays/another-cluster there"
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.other_clusters : can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", name))])
    error_message = "other_clusters must be names of EKS clusters: letters, digits, _ and -, at most 100."
  }
  validation {
    condition     = length(var.other_clusters) <= 9
    error_message = "other_clusters may hold at most 9 names: each adds a policy to the roles, and IAM attaches 10 to a role."
  }
}

variable "namespace" {
  description = "Namespace of the workflows"
  type        = string
  default     = "eks-recycle"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace must be the name of a Kubernetes namespace: lower-case letters, digits and -, at most 63."
  }
}

variable "identity" {
  description = "How pods get the roles: pod-identity (EKS Pod Identity) or irsa (IAM roles for service accounts)"
  type        = string
  default     = "pod-identity"

  validation {
    condition     = contains(["pod-identity", "irsa"], var.identity)
    error_message = "identity must be pod-identity or irsa."
  }
}

variable "oidc_provider_arn" {
  description = "ARN of the cluster's OIDC provider in IAM, for identity = irsa"
  type        = string
  default     = ""

  validation {
    condition     = var.oidc_provider_arn == "" || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.oidc_provider_arn))
    error_message = "oidc_provider_arn must be an ARN such as arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE."
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles"
  type        = string
  default     = null
}

variable "path" {
  description = "IAM path of policies and roles"
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/(.*/)?$", var.path))
    error_message = "path must begin and end with /."
  }
}

variable "name_suffix" {
  description = "Ends the names of roles and policies. Empty means -<cluster_name>"
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of all that is made"
  type        = map(string)
  default     = {}
}

variable "enable_events" {
  description = "Whether events of Auto Scaling, EC2, CloudWatch and AWS Health start recycles: makes queue, rules and their roles"
  type        = bool
  default     = false
}

variable "groups" {
  description = "Auto Scaling groups that get the termination lifecycle hook, so that their instances are drained before they go: names of groups by any key. Needs enable_events"
  type        = map(string)
  default     = {}
}

variable "hook_name" {
  description = "Name of the lifecycle hooks that are answered. Hooks of another name are left alone"
  type        = string
  default     = "eks-recycle"
}

variable "heartbeat_timeout" {
  description = "Seconds after which Auto Scaling goes on when it hears nothing. A drain may take 100 times as long, at most 48 hours"
  type        = number
  default     = 3600

  validation {
    condition     = var.heartbeat_timeout >= 30 && var.heartbeat_timeout <= 7200
    error_message = "heartbeat_timeout must be 30 to 7200 seconds."
  }
}

variable "default_result" {
  description = "What becomes of an action that nobody completes: CONTINUE, or ABANDON for groups that retain instances"
  type        = string
  default     = "CONTINUE"

  validation {
    condition     = contains(["CONTINUE", "ABANDON"], var.default_result)
    error_message = "default_result must be CONTINUE or ABANDON."
  }
}

variable "queue_name" {
  description = "Name of the queue. That of the dead letters ends in -dead. Empty means eks-recycle-<cluster_name>"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]*$", var.queue_name))
    error_message = "queue_name must be letters, digits, _ and -."
  }
}

variable "max_receive_count" {
  description = "How often a message is tried before it moves to the dead letters"
  type        = number
  default     = 5

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be 1 to 1000."
  }
}

variable "alarm_name_prefix" {
  description = "What names of CloudWatch alarms begin with that recycle the instance, or a node of the group, in their dimensions"
  type        = string
  default     = "eks-recycle"

  validation {
    condition     = var.alarm_name_prefix != ""
    error_message = "alarm_name_prefix must not be empty: every alarm of the account would recycle nodes."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that may send alarms to the queue, if one is subscribed"
  type        = string
  default     = ""
}

variable "dead_letter_alarm_actions" {
  description = "What an alarm about dead letters notifies, such as an SNS topic. Empty: there is no alarm"
  type        = list(string)
  default     = []
}
