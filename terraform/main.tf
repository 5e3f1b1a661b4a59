data "aws_partition" "current" {}
data "aws_caller_identity" "current" {
  lifecycle {
    # Otherwise a copy of this folder alone would remove all roles.
    precondition {
      condition     = length(local.accounts) > 0
      error_message = "there are no policies in ${local.policies}: use the module with the repository around it, or from the release archive."
    }
  }
}
data "aws_region" "current" {}

locals {
  arn     = "arn:${data.aws_partition.current.partition}"
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.id
  suffix  = var.name_suffix == "" ? "-${var.cluster_name}" : var.name_suffix
  oidc    = replace(var.oidc_provider_arn, "/^.*:oidc-provider\\//", "")

  # One policy per service account, for one cluster. The files are the ones that the other ways to install use.
  policies = "${path.module}/../workflows/base/accounts"
  accounts = toset([
    for file in fileset(local.policies, "*.json") : trimsuffix(file, ".json")
    if var.enable_events || file != "eks-recycle-events.json"
  ])
  # Reaping asks EC2 alone, and events are of the workflows' own cluster: these two enter no other one.
  hub_accounts = toset([for a in local.accounts : a if !contains(["eks-recycle-reap", "eks-recycle-events"], a)])

  # Service accounts with a role, and what lets their pods, and nobody else, have it.
  roles = setunion(local.accounts, var.enable_events ? toset(["eks-recycle-sqs"]) : toset([]))
  trust = {
    for name in local.roles : name => var.identity == "irsa" ? jsonencode({
      Effect    = "Allow"
      Principal = { Federated = var.oidc_provider_arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = {
        "${local.oidc}:aud" = "sts.amazonaws.com"
        "${local.oidc}:sub" = "system:serviceaccount:${var.namespace}:${name}"
      } }
      }) : jsonencode({
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      # Session tags of Pod Identity: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
      Condition = { StringEquals = {
        "aws:RequestTag/eks-cluster-arn"            = "${local.arn}:eks:${local.region}:${local.account}:cluster/${var.cluster_name}"
        "aws:RequestTag/kubernetes-namespace"       = var.namespace
        "aws:RequestTag/kubernetes-service-account" = name
      } }
    })
  }

  # Events and their checks are of one cluster. Keys are free of cluster_name, which may not be known before apply.
  attached = merge(
    { for a in local.accounts : a => { account = a, cluster = var.cluster_name, name = "${a}${local.suffix}" } },
    {
      for pair in setproduct(local.accounts, var.other_clusters) : join("/", pair) => {
        account = pair[0], cluster = pair[1], name = "${pair[0]}${local.suffix}-${pair[1]}"
      } if pair[0] != "eks-recycle-events"
    },
  )
}

resource "aws_iam_policy" "this" {
  for_each = local.attached

  name        = each.value.name
  path        = var.path
  description = "What the service account ${each.value.account} may do for the EKS cluster ${each.value.cluster}"
  policy      = replace(file("${local.policies}/${each.value.account}.json"), "CLUSTER_NAME", each.value.cluster)
  tags        = var.tags
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name                 = "${each.value}${local.suffix}"
  path                 = var.path
  description          = "Role of the service account ${each.value} in the EKS cluster ${var.cluster_name}"
  assume_role_policy   = jsonencode({ Version = "2012-10-17", Statement = [jsondecode(local.trust[each.value])] })
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags

  lifecycle {
    precondition {
      condition     = (var.identity == "irsa") == (var.oidc_provider_arn != "")
      error_message = "identity = irsa and oidc_provider_arn need one another."
    }
    precondition {
      condition     = length("${each.value}${local.suffix}") <= 64
      error_message = "the name of a role, ${each.value}${local.suffix}, has more than 64 characters: set name_suffix."
    }
  }
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.attached

  role       = aws_iam_role.this[each.value.account].name
  policy_arn = aws_iam_policy.this[each.key].arn
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = var.identity == "pod-identity" ? local.roles : toset([])

  cluster_name    = var.cluster_name
  namespace       = var.namespace
  service_account = each.value
  role_arn        = aws_iam_role.this[each.value].arn
  tags            = var.tags
}

# In each other cluster the role belongs to the group of its service account's name.
resource "aws_eks_access_entry" "this" {
  for_each = {
    for pair in setproduct(local.hub_accounts, var.other_clusters) : join("/", pair) => { account = pair[0], cluster = pair[1] }
  }

  cluster_name      = each.value.cluster
  principal_arn     = aws_iam_role.this[each.value.account].arn
  kubernetes_groups = [each.value.account]
  tags              = var.tags
}
