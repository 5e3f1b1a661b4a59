package awssim

import (
	"crypto/md5" // the checksum that SQS answers with
	encoding "encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fates of a [Message].
const (
	MessageVisible  = "visible"   // a receive would get it
	MessageInFlight = "in-flight" // received, and not to be had again before VisibleAt
	MessageDeleted  = "deleted"
	MessageMoved    = "moved" // to the dead-letter queue
	MessageExpired  = "expired"
	MessagePurged   = "purged"
)

// maxMessage is the longest body that SQS takes.
const maxMessage = 1 << 20

// queue is a standard queue of SQS.
type queue struct {
	name, arn  string
	created    time.Time
	modified   time.Time
	attributes map[string]string // as set, with the defaults of AWS
	dead       *redrive
	policy     *queuePolicy // nil: nobody but the account
	messages   []*message   // there, oldest first
	gone       []*message   // no longer there, oldest first
	purged     time.Time

	news chan struct{} // closed, and made anew, when a waiting receive should look again
}

// redrive is where messages go that were received too often.
type redrive struct {
	target string // ARN
	most   int    // receives
}

type message struct {
	id, body      string
	sent          time.Time
	firstReceived time.Time
	visibleAt     time.Time
	receives      int
	handle        string // of the latest receive
	source        string // ARN of the queue that it was moved from
	fate          string // once it is gone
}

// Message is a message of a queue as the control API shows it, be it there or
// gone.
type Message struct {
	ID        string    `json:"id"`
	Body      string    `json:"body"`
	Sent      time.Time `json:"sent"`
	Receives  int       `json:"receives"`
	VisibleAt time.Time `json:"visibleAt,omitzero"` // while in flight
	Fate      string    `json:"fate"`
}

func (s *Sim) queue(name string) *queue {
	i := slices.IndexFunc(s.queues, func(q *queue) bool { return q.name == name })
	if i < 0 {
		return nil
	}
	return s.queues[i]
}

func (s *Sim) queueByARN(arn string) *queue {
	name, ok := strings.CutPrefix(arn, s.queueARN(""))
	if !ok {
		return nil
	}
	return s.queue(name)
}

// wake has the receives that wait look again.
func (q *queue) wake() {
	close(q.news)
	q.news = make(chan struct{})
}

// send puts a message into a queue.
func (s *Sim) send(q *queue, body string) *message {
	m := &message{id: uuid(s.mail), body: body, sent: time.Now()}
	q.messages = append(q.messages, m)
	q.wake()
	return m
}

func (q *queue) seconds(attribute string) time.Duration {
	n, _ := time.ParseDuration(q.attributes[attribute] + "s")
	return n
}

// drop takes a message out of its queue.
func (q *queue) drop(m *message, fate string) {
	m.fate = fate
	q.messages = slices.DeleteFunc(q.messages, func(o *message) bool { return o == m })
	q.gone = append(q.gone, m)
}

// expire forgets what is older than the queue keeps it.
func (q *queue) expire() {
	for _, m := range slices.Clone(q.messages) {
		if time.Since(m.sent) >= q.seconds("MessageRetentionPeriod") {
			q.drop(m, MessageExpired)
		}
	}
}

// receive takes up to most visible messages. One that has been received as
// often as the redrive policy allows moves to the dead-letter queue instead,
// with its id and the time that it was sent.
func (s *Sim) receive(q *queue, most int, hidden time.Duration) []*message {
	q.expire()
	now := time.Now()
	var out []*message
	for _, m := range slices.Clone(q.messages) {
		if m.visibleAt.After(now) {
			continue
		}
		if q.dead != nil && m.receives >= q.dead.most {
			if target := s.queueByARN(q.dead.target); target != nil {
				q.drop(m, MessageMoved)
				target.messages = append(target.messages, &message{id: m.id, body: m.body, sent: m.sent, source: q.arn})
				target.wake()
				continue
			}
		}
		if len(out) == most {
			break
		}
		m.receives++
		if m.firstReceived.IsZero() {
			m.firstReceived = now
		}
		m.handle = receiptHandle(q, m, hex(s.mail, 16))
		s.hide(q, m, hidden)
		out = append(out, m)
	}
	return out
}

// hide keeps a message from being received until some time has passed.
func (s *Sim) hide(q *queue, m *message, d time.Duration) {
	m.visibleAt = time.Now().Add(d)
	s.after(d, func() {
		if m.fate == "" && !m.visibleAt.After(time.Now()) {
			q.wake()
		}
	})
}

// receiptHandle is opaque to callers; it tells a handle of this queue from
// one made up.
func receiptHandle(q *queue, m *message, nonce string) string {
	return encoding.EncodeToString([]byte(strings.Join([]string{q.name, m.id, nonce}, "\n")))
}

// byHandle is the message that a handle was for; nil if it is no longer there
// or has been received again since.
func (q *queue) byHandle(handle string) (*message, error) {
	text, err := encoding.DecodeString(handle)
	parts := strings.Split(string(text), "\n")
	if err != nil || len(parts) != 3 || parts[0] != q.name {
		return nil, fail("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", handle)
	}
	for _, m := range q.messages {
		if m.handle == handle {
			return m, nil
		}
	}
	return nil, nil
}

// counts are the messages that can be received and those in flight.
func (q *queue) counts() (visible, inFlight int) {
	q.expire()
	for _, m := range q.messages {
		if m.visibleAt.After(time.Now()) {
			inFlight++
		}
	}
	return len(q.messages) - inFlight, inFlight
}

func checksum(body string) string {
	sum := md5.Sum([]byte(body))
	return encoding.EncodeToString(sum[:])
}

func (m *message) view() Message {
	out := Message{ID: m.id, Body: m.body, Sent: m.sent.UTC(), Receives: m.receives, Fate: m.fate}
	if out.Fate == "" {
		out.Fate = MessageVisible
		if m.visibleAt.After(time.Now()) {
			out.Fate, out.VisibleAt = MessageInFlight, m.visibleAt.UTC()
		}
	}
	return out
}

// Messages are all that a queue has ever held, those gone first, each lot
// oldest first.
func (s *Sim) Messages(queue string) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
	q := s.queue(queue)
	if q == nil {
		return nil, fmt.Errorf("reading queue %q: it does not exist", queue)
	}
	q.expire()
	return listOf(slices.Concat(q.gone, q.messages), (*message).view), nil
}
