package awssim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *Sim) sqsActions() map[string]handler {
	return map[string]handler{
		"CreateQueue":             typed(s.createQueue),
		"DeleteQueue":             typed(s.deleteQueue),
		"GetQueueUrl":             typed(s.getQueueURL),
		"ListQueues":              typed(s.listQueues),
		"GetQueueAttributes":      typed(s.getQueueAttributes),
		"SetQueueAttributes":      typed(s.setQueueAttributes),
		"PurgeQueue":              typed(s.purgeQueue),
		"SendMessage":             typed(s.sendMessage),
		"ReceiveMessage":          typed(s.receiveMessage),
		"DeleteMessage":           typed(s.deleteMessage),
		"ChangeMessageVisibility": typed(s.changeVisibility),
	}
}

// sqsShape is the name that the JSON protocol gives an error, by its code in
// the Query protocol that SQS spoke before.
func sqsShape(code string) string {
	switch code {
	case noQueue:
		return "com.amazonaws.sqs#QueueDoesNotExist"
	case "QueueAlreadyExists":
		return "com.amazonaws.sqs#QueueNameExists"
	case "ReceiptHandleIsInvalid", "InvalidAttributeName", "InvalidAttributeValue":
		return "com.amazonaws.sqs#" + code
	}
	if short, ok := strings.CutPrefix(code, "AWS.SimpleQueueService."); ok {
		return "com.amazonaws.sqs#" + short
	}
	if code == "MissingParameter" {
		code = "MissingRequiredParameterException"
	}
	if strings.HasSuffix(code, "Exception") {
		return "com.amazon.coral.service#" + code
	}
	return "com.amazon.coral.service#" + code + "Exception"
}

const noQueue = "AWS.SimpleQueueService.NonExistentQueue"

func noSuchQueue() *apiError { return fail(noQueue, "The specified queue does not exist.") }

func invalidParameter(name string, value any, reason string) *apiError {
	return fail("InvalidParameterValue", "Value %v for parameter %s is invalid. Reason: %s", value, name, reason)
}

// queueURL is under the host by which the caller found the simulator, so that
// it can be reached from there.
func (s *Sim) queueURL(r *request, q *queue) string {
	return "http://" + r.host + "/" + s.cfg.AccountID + "/" + q.name
}

// queueOf is the queue that a URL names.
func (s *Sim) queueOf(queueURL string) (*queue, error) {
	if queueURL == "" {
		return nil, fail("MissingParameter", "The request must contain the parameter QueueUrl.")
	}
	parts := strings.Split(queueURL, "/")
	if n := len(parts); n >= 2 && parts[n-2] == s.cfg.AccountID {
		if q := s.queue(parts[n-1]); q != nil {
			return q, nil
		}
	}
	return nil, noSuchQueue()
}

type queueRef struct {
	QueueUrl string //nolint:revive // the name on the wire
}

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

func (s *Sim) createQueue(r *request, in createQueueInput) (any, error) {
	q, err := s.makeQueue(in.QueueName, in.Attributes)
	if err != nil {
		return nil, err
	}
	return queueRef{s.queueURL(r, q)}, nil
}

// makeQueue is the queue of a name: a new one, or the one there is if its
// attributes are those asked for, as AWS has it.
func (s *Sim) makeQueue(name string, attributes map[string]string) (*queue, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`).MatchString(name) {
		return nil, invalidParameter("QueueName", name, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	}
	if q := s.queue(name); q != nil {
		for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
			if q.attributes[attribute] != attributes[attribute] {
				return nil, fail("QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute %s", attribute)
			}
		}
		return q, nil
	}
	q := &queue{name: name, arn: s.queueARN(name), created: time.Now(), modified: time.Now(), news: make(chan struct{}), attributes: map[string]string{
		"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600", "DelaySeconds": "0",
		"ReceiveMessageWaitTimeSeconds": "0", "MaximumMessageSize": strconv.Itoa(maxMessage), "SqsManagedSseEnabled": "true",
	}}
	if err := s.setAttributes(q, attributes); err != nil {
		return nil, err
	}
	s.queues = append(s.queues, q)
	return q, nil
}

// setAttributes changes all that are given, or none.
func (s *Sim) setAttributes(q *queue, attributes map[string]string) error {
	next := *q
	next.attributes = maps.Clone(q.attributes)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if err := s.setAttribute(&next, name, attributes[name]); err != nil {
			return err
		}
	}
	*q = next
	q.modified = time.Now()
	return nil
}

func (s *Sim) setAttribute(q *queue, name, value string) error {
	bounds := map[string][2]int{
		"VisibilityTimeout": {0, 43200}, "MessageRetentionPeriod": {60, 1209600},
		"ReceiveMessageWaitTimeSeconds": {0, 20}, "MaximumMessageSize": {1024, maxMessage},
		"DelaySeconds": {0, 0}, // none is played
	}
	if within, ok := bounds[name]; ok {
		if n, err := strconv.Atoi(value); err != nil || n < within[0] || n > within[1] {
			return fail("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
		}
		q.attributes[name] = value
		return nil
	}
	var err error
	switch name {
	case "SqsManagedSseEnabled":
	case "RedrivePolicy":
		q.dead, err = s.readRedrive(value)
	case "Policy":
		q.policy, err = readQueuePolicy(value)
	default:
		return fail("InvalidAttributeName", "Unknown Attribute %s.", name)
	}
	if err != nil {
		return invalidParameter(name, value, err.Error())
	}
	if q.attributes[name] = value; value == "" {
		delete(q.attributes, name)
	}
	return nil
}

// readRedrive takes the number of receives as a number or in quotes, as AWS does.
func (s *Sim) readRedrive(text string) (*redrive, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no policy is one answer of two
	}
	var doc struct {
		Target string      `json:"deadLetterTargetArn"`
		Most   json.Number `json:"maxReceiveCount"`
	}
	if err := strictJSON(strings.NewReader(text), &doc); err != nil {
		return nil, fmt.Errorf("Redrive policy is not a valid JSON map") //nolint:staticcheck // AWS's words
	}
	most, err := strconv.Atoi(doc.Most.String())
	switch {
	case err != nil || most < 1 || most > 1000:
		return nil, fmt.Errorf("Invalid value for maxReceiveCount: %s, valid values are from 1 to 1000 both inclusive", doc.Most) //nolint:staticcheck // AWS's words
	case s.queueByARN(doc.Target) == nil:
		return nil, fmt.Errorf("Dead letter target does not exist") //nolint:staticcheck // AWS's words
	}
	return &redrive{doc.Target, most}, nil
}

func (s *Sim) deleteQueue(_ *request, in queueRef) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	s.queues = slices.DeleteFunc(s.queues, func(o *queue) bool { return o == q })
	q.wake()
	return empty{}, nil
}

type getQueueURLInput struct {
	QueueName              string
	QueueOwnerAWSAccountId string //nolint:revive // the name on the wire
}

func (s *Sim) getQueueURL(r *request, in getQueueURLInput) (any, error) {
	q := s.queue(in.QueueName)
	if q == nil || in.QueueOwnerAWSAccountId != "" && in.QueueOwnerAWSAccountId != s.cfg.AccountID {
		return nil, noSuchQueue()
	}
	return queueRef{s.queueURL(r, q)}, nil
}

type listQueuesInput struct {
	QueueNamePrefix string
	MaxResults      int
}

func (s *Sim) listQueues(r *request, in listQueuesInput) (any, error) {
	urls := []string{}
	for _, q := range s.queues {
		if strings.HasPrefix(q.name, in.QueueNamePrefix) {
			urls = append(urls, s.queueURL(r, q))
		}
	}
	return map[string]any{"QueueUrls": urls}, nil
}

type queueAttributesInput struct {
	queueRef
	AttributeNames []string
}

func (s *Sim) getQueueAttributes(_ *request, in queueAttributesInput) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	visible, inFlight := q.counts()
	all := maps.Clone(q.attributes)
	maps.Copy(all, map[string]string{
		"QueueArn": q.arn, "ApproximateNumberOfMessages": strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(inFlight), "ApproximateNumberOfMessagesDelayed": "0",
		"CreatedTimestamp":      strconv.FormatInt(q.created.Unix(), 10),
		"LastModifiedTimestamp": strconv.FormatInt(q.modified.Unix(), 10),
	})
	out := map[string]string{}
	for _, name := range in.AttributeNames {
		if name == "All" {
			out = all
			break
		}
		if value, ok := all[name]; ok {
			out[name] = value
		}
	}
	return map[string]any{"Attributes": out}, nil
}

type setQueueAttributesInput struct {
	queueRef
	Attributes map[string]string
}

func (s *Sim) setQueueAttributes(_ *request, in setQueueAttributesInput) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return empty{}, s.setAttributes(q, in.Attributes)
}

func (s *Sim) purgeQueue(_ *request, in queueRef) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if !q.purged.IsZero() && time.Since(q.purged) < time.Minute {
		return nil, &apiError{"AWS.SimpleQueueService.PurgeQueueInProgress", "Only one PurgeQueue operation on " + q.name + " is allowed every 60 seconds.", http.StatusForbidden}
	}
	q.purged = time.Now()
	for _, m := range slices.Clone(q.messages) {
		q.drop(m, MessagePurged)
	}
	return empty{}, nil
}
