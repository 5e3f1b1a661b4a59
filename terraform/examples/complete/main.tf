# One cluster, with events, and a termination hook on two groups.

provider "aws" {
  region = "eu-central-1"
}

module "eks_recycle" {
  source = "../.." # or git::https://github.com/eks-recycle/eks-recycle.git//terraform?ref=v0.1.0

  cluster_name             = "prod"
  permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"

  enable_events             = true
  groups                    = { workers = "prod-workers", batch = "prod-batch" }
  dead_letter_alarm_actions = ["arn:aws:sns:eu-central-1:111122223333:on-call"]

  tags = { team = "platform" }
}

# Settings of the events in the cluster: the ConfigMap eks-recycle-events, or events.queue in the chart.
output "queue_name" {
  value = module.eks_recycle.queue_name
}
