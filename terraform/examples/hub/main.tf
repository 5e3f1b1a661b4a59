# The workflows run in one cluster and recycle the nodes of two others as well, with IAM roles for service accounts.

provider "aws" {
  region = "eu-central-1"
}

module "eks_recycle" {
  source = "../.." # or git::https://github.com/eks-recycle/eks-recycle.git//terraform?ref=v0.1.0

  cluster_name   = "tools"
  other_clusters = ["prod", "staging"]

  identity          = "irsa"
  oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
}

# serviceAccountAnnotations in the chart, or irsa.yaml in the Kustomize example.
output "service_account_annotations" {
  value = { for name, arn in module.eks_recycle.role_arns : name => { "eks.amazonaws.com/role-arn" = arn } }
}
