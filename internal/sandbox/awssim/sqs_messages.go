package awssim

import (
	"strconv"
	"time"
)

type sendMessageInput struct {
	queueRef
	MessageBody  string
	DelaySeconds int
}

func (s *Sim) sendMessage(_ *request, in sendMessageInput) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	most, _ := strconv.Atoi(q.attributes["MaximumMessageSize"])
	switch {
	case in.MessageBody == "":
		return nil, fail("MissingParameter", "The request must contain the parameter MessageBody.")
	case len(in.MessageBody) > most:
		return nil, fail("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", most)
	case in.DelaySeconds != 0:
		return nil, fail("AWS.SimpleQueueService.UnsupportedOperation", "the simulator delays no messages")
	}
	m := s.send(q, in.MessageBody)
	return map[string]string{"MessageId": m.id, "MD5OfMessageBody": checksum(m.body)}, nil
}

type receiveMessageInput struct {
	queueRef
	// AttributeNames is the older name of MessageSystemAttributeNames.
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string // there are none
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
}

type receivedMessage struct {
	MessageId     string //nolint:revive // the name on the wire
	ReceiptHandle string
	MD5OfBody     string
	Body          string
	Attributes    map[string]string `json:",omitempty"`
}

type receiveMessageResult struct {
	Messages []receivedMessage `json:",omitempty"`
}

func (s *Sim) receiveMessage(r *request, in receiveMessageInput) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	most, wait, hidden := 1, q.seconds("ReceiveMessageWaitTimeSeconds"), q.seconds("VisibilityTimeout")
	if n := in.MaxNumberOfMessages; n != nil {
		if most = *n; most < 1 || most > 10 {
			return nil, invalidParameter("MaxNumberOfMessages", *n, "Must be between 1 and 10, if provided.")
		}
	}
	if n := in.WaitTimeSeconds; n != nil {
		if wait = time.Duration(*n) * time.Second; *n < 0 || *n > 20 {
			return nil, invalidParameter("WaitTimeSeconds", *n, "Must be >= 0 and <= 20, if provided.")
		}
	}
	if n := in.VisibilityTimeout; n != nil {
		if hidden = time.Duration(*n) * time.Second; *n < 0 || *n > 43200 {
			return nil, invalidParameter("VisibilityTimeout", *n, "Must be between 0 and 43200, if provided.")
		}
	}
	if at := s.cfg.HiddenAtMost; at > 0 {
		hidden = min(hidden, at)
	}
	found, err := s.awaitMessages(r, q, most, wait, hidden)
	if err != nil {
		return nil, err
	}
	names := append(in.AttributeNames, in.MessageSystemAttributeNames...)
	return receiveMessageResult{listOf(found, func(m *message) receivedMessage {
		return receivedMessage{m.id, m.handle, checksum(m.body), m.body, s.systemAttributes(m, names)}
	})}, nil
}

// awaitMessages is a long poll. It gives up the lock while there is nothing.
func (s *Sim) awaitMessages(r *request, q *queue, most int, wait, hidden time.Duration) ([]*message, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	by := s.by
	for waiting := wait > 0; ; {
		// Of a caller that has left nothing would come back before it is visible again.
		if r.ctx.Err() != nil {
			return nil, errDropped
		}
		if s.queue(q.name) != q {
			return nil, noSuchQueue()
		}
		if found := s.receive(q, most, hidden); len(found) > 0 || !waiting {
			return found, nil
		}
		news := q.news
		s.by = origin{}
		s.mu.Unlock()
		select {
		case <-news:
		case <-over.C:
			waiting = false
		case <-r.ctx.Done():
		}
		s.mu.Lock()
		s.catchUp()
		s.by = by
	}
}

func (s *Sim) systemAttributes(m *message, names []string) map[string]string {
	millis := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	all := map[string]string{
		"SenderId": s.cfg.AccountID, "SentTimestamp": millis(m.sent),
		"ApproximateReceiveCount": strconv.Itoa(m.receives), "ApproximateFirstReceiveTimestamp": millis(m.firstReceived),
	}
	if m.source != "" {
		all["DeadLetterQueueSourceArn"] = m.source
	}
	out := map[string]string{}
	for _, name := range names {
		if name == "All" {
			return all
		}
		if value, ok := all[name]; ok {
			out[name] = value
		}
	}
	return out
}

type deleteMessageInput struct {
	queueRef
	ReceiptHandle string
}

// deleteMessage succeeds with a handle that a later receive has made old, and
// does nothing then, as AWS does with a standard queue.
func (s *Sim) deleteMessage(_ *request, in deleteMessageInput) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	m, err := q.byHandle(in.ReceiptHandle)
	if err != nil {
		return nil, err
	}
	if m != nil {
		q.drop(m, MessageDeleted)
	}
	return empty{}, nil
}

type changeVisibilityInput struct {
	queueRef
	ReceiptHandle     string
	VisibilityTimeout int
}

func (s *Sim) changeVisibility(_ *request, in changeVisibilityInput) (any, error) {
	q, err := s.queueOf(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if n := in.VisibilityTimeout; n < 0 || n > 43200 {
		return nil, invalidParameter("VisibilityTimeout", n, "Must be between 0 and 43200, if provided.")
	}
	m, err := q.byHandle(in.ReceiptHandle)
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, invalidParameter("ReceiptHandle", in.ReceiptHandle, "Message does not exist or is not available for visibility timeout change.")
	case !m.visibleAt.After(time.Now()):
		return nil, fail("AWS.SimpleQueueService.MessageNotInflight", "The specified message isn't in flight.")
	}
	s.hide(q, m, time.Duration(in.VisibilityTimeout)*time.Second)
	return empty{}, nil
}
