package sandbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Queues that events come in by, and that those end in which nobody could take.
const (
	eventsQueue     = "eks-recycle"
	deadLetterQueue = "eks-recycle-dead"
	// maxReceives is small: an event source hides a message for two minutes each time that it cannot take it.
	maxReceives = "2"
)

// createQueues creates the queues as a user would, through the SQS API. Queues that are there already stay as they are.
func createQueues(ctx context.Context, endpoint string) error {
	client := sqs.New(sqs.Options{Region: region, BaseEndpoint: &endpoint, Credentials: credentials()})
	dead, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(deadLetterQueue)})
	if err != nil {
		return fmt.Errorf("creating queue %q: %w", deadLetterQueue, err)
	}
	attributes, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: dead.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		return fmt.Errorf("asking for the ARN of queue %q: %w", deadLetterQueue, err)
	}
	redrive, err := json.Marshal(map[string]string{
		"deadLetterTargetArn": attributes.Attributes[string(types.QueueAttributeNameQueueArn)], "maxReceiveCount": maxReceives,
	})
	if err != nil {
		return fmt.Errorf("creating queue %q: %w", eventsQueue, err)
	}
	_, err = client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(eventsQueue), Attributes: map[string]string{
		string(types.QueueAttributeNameRedrivePolicy): string(redrive),
	}})
	if err != nil {
		return fmt.Errorf("creating queue %q: %w", eventsQueue, err)
	}
	return nil
}
