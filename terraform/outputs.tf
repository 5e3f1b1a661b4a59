output "role_arns" {
  description = "Roles by service account: for irsa, the annotations eks.amazonaws.com/role-arn"
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "policy_arns" {
  description = "Policies by service account, such as eks-recycle, and for other_clusters by account and cluster, such as eks-recycle/staging"
  value       = merge({ for name, policy in aws_iam_policy.this : name => policy.arn }, { for policy in aws_iam_policy.event_source : "eks-recycle-sqs" => policy.arn })
}

output "queue_name" {
  description = "The setting queue of the events; null without them"
  value       = one(aws_sqs_queue.this[*].name)
}

output "queue_arn" {
  description = "The queue, for the subscription of a topic; null without events"
  value       = one(aws_sqs_queue.this[*].arn)
}

output "dead_letters_name" {
  description = "The queue of the messages that nobody could take; null without events"
  value       = one(aws_sqs_queue.dead[*].name)
}
