# The same as workflows/components/events/aws/events.yaml, for those who use Terraform.

locals {
  # Two clusters that shared a queue would take one another's events.
  queue_name = var.queue_name == "" ? "eks-recycle-${var.cluster_name}" : var.queue_name

  rules = {
    Terminating = {
      description = "An instance waits for the hook of eks-recycle before it is terminated"
      pattern = {
        account     = [local.account]
        source      = ["aws.autoscaling"]
        detail-type = ["EC2 Instance-terminate Lifecycle Action"]
        detail = {
          LifecycleHookName   = [var.hook_name]
          LifecycleTransition = ["autoscaling:EC2_INSTANCE_TERMINATING"]
        }
      }
    }
    SpotInterruption = {
      description = "EC2 takes a spot instance back in two minutes"
      pattern     = { account = [local.account], source = ["aws.ec2"], detail-type = ["EC2 Spot Instance Interruption Warning"] }
    }
    RebalanceRecommendation = {
      description = "A spot instance is likely to be taken back"
      pattern     = { account = [local.account], source = ["aws.ec2"], detail-type = ["EC2 Instance Rebalance Recommendation"] }
    }
    AlarmRaised = {
      description = "An alarm for eks-recycle went off"
      pattern = {
        account     = [local.account]
        source      = ["aws.cloudwatch"]
        detail-type = ["CloudWatch Alarm State Change"]
        detail = {
          alarmName     = [{ prefix = var.alarm_name_prefix }]
          state         = { value = ["ALARM"] }
          previousState = { value = [{ anything-but = "ALARM" }] }
        }
      }
    }
    ScheduledChange = {
      description = "EC2 is going to retire, reboot or maintain instances"
      pattern = {
        account     = [local.account]
        source      = ["aws.health"]
        detail-type = ["AWS Health Event"]
        detail      = { service = ["EC2"], eventTypeCategory = ["scheduledChange"] }
      }
    }
  }

  # Only these rules, and the topic if there is one, may send.
  senders = concat([{
    Sid       = "TheseRules"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Resource  = one(aws_sqs_queue.this[*].arn)
    Condition = {
      ArnEquals    = { "aws:SourceArn" = values(aws_cloudwatch_event_rule.this)[*].arn }
      StringEquals = { "aws:SourceAccount" = local.account }
    }
    }], [for topic in compact([var.alarm_topic_arn]) : {
    Sid       = "ThisTopic"
    Effect    = "Allow"
    Principal = { Service = "sns.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Resource  = one(aws_sqs_queue.this[*].arn)
    Condition = {
      ArnEquals = { "aws:SourceArn" = topic }
    }
  }])
}

resource "aws_sqs_queue" "this" {
  count = var.enable_events ? 1 : 0

  name = local.queue_name
  # What the SQS event source of Argo Events hides a message for, whatever stands here.
  visibility_timeout_seconds = 120
  # An event older than this is of no use: a lifecycle action is over by then.
  message_retention_seconds = 172800
  sqs_managed_sse_enabled   = true
  redrive_policy            = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead[0].arn, maxReceiveCount = var.max_receive_count })
  tags                      = var.tags

  lifecycle {
    precondition {
      condition     = length(local.queue_name) <= 40
      error_message = "queue_name ${local.queue_name} has more than 40 characters, which leaves no room for the names of the rules: set a shorter one."
    }
  }
}

resource "aws_sqs_queue" "dead" {
  count = var.enable_events ? 1 : 0

  name                      = "${local.queue_name}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "this" {
  count = var.enable_events ? 1 : 0

  queue_url = aws_sqs_queue.this[0].url
  policy    = jsonencode({ Version = "2012-10-17", Statement = local.senders })
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = { for name, rule in local.rules : name => rule if var.enable_events }

  name          = "${local.queue_name}-${each.key}"
  description   = each.value.description
  event_pattern = jsonencode(each.value.pattern)
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = { for name, rule in local.rules : name => rule if var.enable_events }

  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "queue"
  arn       = aws_sqs_queue.this[0].arn
}

resource "aws_autoscaling_lifecycle_hook" "this" {
  for_each = var.groups

  name                   = var.hook_name
  autoscaling_group_name = each.value
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  # With nobody there to drain it, an instance goes after one heartbeat timeout.
  default_result    = var.default_result
  heartbeat_timeout = var.heartbeat_timeout

  lifecycle {
    precondition {
      condition     = var.enable_events
      error_message = "groups need enable_events = true: without it nobody answers the hooks."
    }
  }
}

resource "aws_iam_policy" "event_source" {
  count = var.enable_events ? 1 : 0

  name        = "eks-recycle-sqs${local.suffix}"
  path        = var.path
  description = "What the SQS event source of eks-recycle may do"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "TakeFromTheQueue"
      Effect   = "Allow"
      Action   = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
      Resource = aws_sqs_queue.this[0].arn
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "event_source" {
  count = var.enable_events ? 1 : 0

  role       = aws_iam_role.this["eks-recycle-sqs"].name
  policy_arn = aws_iam_policy.event_source[0].arn
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  count = var.enable_events && length(var.dead_letter_alarm_actions) > 0 ? 1 : 0

  alarm_name          = "dead-letters-of-${local.queue_name}"
  alarm_description   = "Events that eks-recycle could not take lie in the queue ${local.queue_name}-dead"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead[0].name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.dead_letter_alarm_actions
  tags                = var.tags

  lifecycle {
    # It would start a recycle itself.
    precondition {
      condition     = !startswith("dead-letters-of-${local.queue_name}", var.alarm_name_prefix)
      error_message = "the alarm dead-letters-of-${local.queue_name} begins with alarm_name_prefix: choose another queue_name or alarm_name_prefix."
    }
  }
}
