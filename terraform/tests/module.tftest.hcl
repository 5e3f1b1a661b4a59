variables {
  cluster_name = "prod"
}

run "roles_for_one_cluster" {
  command = plan

  assert {
    condition     = join(" ", keys(aws_iam_role.this)) == "eks-recycle eks-recycle-fleet eks-recycle-reap eks-recycle-sweep"
    error_message = "roles: ${join(" ", keys(aws_iam_role.this))}"
  }
  assert {
    condition     = aws_iam_role.this["eks-recycle"].name == "eks-recycle-prod" && aws_iam_policy.this["eks-recycle-fleet"].name == "eks-recycle-fleet-prod"
    error_message = "names"
  }
  assert {
    condition     = jsondecode(aws_iam_policy.this["eks-recycle"].policy).Statement[2].Condition.StringEquals["aws:ResourceTag/kubernetes.io/cluster/prod"] == "owned"
    error_message = "the policy is not for the cluster"
  }
  assert {
    condition     = alltrue([for name, a in aws_eks_pod_identity_association.this : a.service_account == name && a.namespace == "eks-recycle" && a.cluster_name == "prod"])
    error_message = "associations"
  }
  assert {
    condition     = length(aws_eks_pod_identity_association.this) == 4 && length(aws_sqs_queue.this) == 0 && length(aws_cloudwatch_event_rule.this) == 0 && length(aws_eks_access_entry.this) == 0
    error_message = "it makes more, or less, than four roles"
  }
}

run "roles_by_pod_identity_trust_one_service_account" {
  command = apply

  assert {
    condition = jsondecode(aws_iam_role.this["eks-recycle"].assume_role_policy).Statement[0].Condition.StringEquals == {
      "aws:RequestTag/eks-cluster-arn"            = "arn:${data.aws_partition.current.partition}:eks:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:cluster/prod"
      "aws:RequestTag/kubernetes-namespace"       = "eks-recycle"
      "aws:RequestTag/kubernetes-service-account" = "eks-recycle"
    }
    error_message = "trust: ${aws_iam_role.this["eks-recycle"].assume_role_policy}"
  }
}

run "roles_by_irsa" {
  command = plan

  variables {
    identity                 = "irsa"
    oidc_provider_arn        = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
    namespace                = "nodes"
    permissions_boundary_arn = "arn:aws:iam::111122223333:policy/boundary"
    path                     = "/platform/"
    name_suffix              = "-x"
    other_clusters           = ["staging"]
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["eks-recycle-reap"].assume_role_policy).Statement[0].Condition.StringEquals["oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE:sub"] == "system:serviceaccount:nodes:eks-recycle-reap"
    error_message = "trust"
  }
  assert {
    condition     = length(aws_eks_pod_identity_association.this) == 0
    error_message = "associations beside irsa"
  }
  assert {
    condition     = aws_iam_role.this["eks-recycle"].permissions_boundary == "arn:aws:iam::111122223333:policy/boundary" && aws_iam_role.this["eks-recycle"].path == "/platform/" && aws_iam_role.this["eks-recycle"].name == "eks-recycle-x"
    error_message = "boundary, path or name"
  }
  assert {
    condition     = aws_iam_policy.this["eks-recycle"].name == "eks-recycle-x" && aws_iam_policy.this["eks-recycle/staging"].name == "eks-recycle-x-staging"
    error_message = "names of policies, which another module of this account could have"
  }
}

run "other_clusters" {
  command = plan

  variables {
    other_clusters = ["staging"]
    enable_events  = true
  }

  assert {
    condition     = join(" ", keys(aws_eks_access_entry.this)) == "eks-recycle-fleet/staging eks-recycle-sweep/staging eks-recycle/staging"
    error_message = "access entries: ${join(" ", keys(aws_eks_access_entry.this))}"
  }
  assert {
    condition     = aws_eks_access_entry.this["eks-recycle-fleet/staging"].kubernetes_groups == toset(["eks-recycle-fleet"]) && aws_eks_access_entry.this["eks-recycle-fleet/staging"].cluster_name == "staging"
    error_message = "groups"
  }
  assert {
    condition     = strcontains(aws_iam_policy.this["eks-recycle-reap/staging"].policy, "kubernetes.io/cluster/staging") && !contains(keys(aws_iam_policy.this), "eks-recycle-events/staging")
    error_message = "policies"
  }
}

run "events" {
  command = plan

  variables {
    enable_events             = true
    default_result            = "ABANDON"
    groups                    = { workers = "prod-workers" }
    dead_letter_alarm_actions = ["arn:aws:sns:eu-central-1:111122223333:on-call"]
  }

  assert {
    condition     = length(aws_iam_role.this) == 6 && length(aws_cloudwatch_event_rule.this) == 5 && length(aws_cloudwatch_event_target.this) == 5
    error_message = "roles and rules"
  }
  assert {
    condition     = aws_autoscaling_lifecycle_hook.this["workers"].autoscaling_group_name == "prod-workers" && aws_autoscaling_lifecycle_hook.this["workers"].default_result == "ABANDON" && aws_autoscaling_lifecycle_hook.this["workers"].heartbeat_timeout == 3600
    error_message = "hook"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.dead_letters[0].alarm_name == "dead-letters-of-eks-recycle-prod"
    error_message = "alarm"
  }
}

run "refuses_an_unknown_identity" {
  command = plan
  variables {
    identity = "keys"
  }
  expect_failures = [var.identity]
}

run "refuses_a_provider_without_irsa" {
  command = plan
  variables {
    oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
  }
  expect_failures = [aws_iam_role.this]
}

run "refuses_a_provider_that_is_a_url" {
  command = plan
  variables {
    identity          = "irsa"
    oidc_provider_arn = "https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE"
  }
  expect_failures = [var.oidc_provider_arn]
}

run "refuses_names_of_roles_that_iam_does_not_take" {
  command = plan
  variables {
    cluster_name = "a-cluster-whose-name-is-much-longer-than-most-of-them-are"
  }
  expect_failures = [aws_iam_role.this["eks-recycle-fleet"], aws_iam_role.this["eks-recycle-sweep"], aws_iam_role.this["eks-recycle-reap"], aws_iam_role.this["eks-recycle"]]
}

run "refuses_irsa_without_a_provider" {
  command = plan
  variables {
    identity = "irsa"
  }
  expect_failures = [aws_iam_role.this]
}

run "refuses_a_cluster_that_cannot_be" {
  command = plan
  variables {
    cluster_name = "prod*"
  }
  expect_failures = [var.cluster_name]
}

run "refuses_a_pattern_for_another_cluster" {
  command = plan
  variables {
    other_clusters = ["*"]
  }
  expect_failures = [var.other_clusters]
}

run "refuses_more_policies_than_a_role_takes" {
  command = plan
  variables {
    other_clusters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
  }
  expect_failures = [var.other_clusters]
}

run "refuses_a_namespace_that_cannot_be" {
  command = plan
  variables {
    namespace = "*"
  }
  expect_failures = [var.namespace]
}

run "refuses_a_path_without_slashes" {
  command = plan
  variables {
    path = "platform"
  }
  expect_failures = [var.path]
}

run "refuses_hooks_that_nobody_answers" {
  command = plan
  variables {
    groups = { workers = "prod-workers" }
  }
  expect_failures = [aws_autoscaling_lifecycle_hook.this]
}

run "refuses_an_unknown_default_result" {
  command = plan
  variables {
    default_result = "RETAIN"
  }
  expect_failures = [var.default_result]
}

run "refuses_a_queue_name_that_sqs_does_not_take" {
  command = plan
  variables {
    queue_name = "queue.fifo"
  }
  expect_failures = [var.queue_name]
}

run "refuses_a_queue_name_that_makes_names_of_rules_too_long" {
  command = plan
  variables {
    enable_events = true
    queue_name    = "a-queue-whose-name-has-forty-one-characters"
  }
  expect_failures = [aws_sqs_queue.this]
}

run "refuses_no_attempt_at_a_message" {
  command = plan
  variables {
    max_receive_count = 0
  }
  expect_failures = [var.max_receive_count]
}

run "refuses_a_heartbeat_that_aws_does_not_take" {
  command = plan
  variables {
    heartbeat_timeout = 10
  }
  expect_failures = [var.heartbeat_timeout]
}

run "refuses_every_alarm" {
  command = plan
  variables {
    alarm_name_prefix = ""
  }
  expect_failures = [var.alarm_name_prefix]
}

run "refuses_an_alarm_that_would_start_a_recycle" {
  command = plan
  variables {
    enable_events             = true
    alarm_name_prefix         = "dead"
    dead_letter_alarm_actions = ["arn:aws:sns:eu-central-1:111122223333:on-call"]
  }
  expect_failures = [aws_cloudwatch_metric_alarm.dead_letters]
}
