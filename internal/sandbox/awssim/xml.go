package awssim

import (
	"encoding/xml"
	"time"
)

// members is a list of the Query protocol. It is written when empty too, as
// AWS does: boto3 leaves out what is absent, and its users index by name.
type members[T any] struct {
	Member []T `xml:"member"`
}

// items is a list of EC2.
type items[T any] struct {
	Item []T `xml:"item"`
}

func listOf[T, E any](in []E, convert func(E) T) []T {
	out := make([]T, 0, len(in))
	for _, e := range in {
		out = append(out, convert(e))
	}
	return out
}

func memberList[T, E any](in []E, convert func(E) T) members[T] {
	return members[T]{listOf(in, convert)}
}

func itemList[T, E any](in []E, convert func(E) T) items[T] {
	return items[T]{listOf(in, convert)}
}

// xmlTime writes the milliseconds that AWS writes.
type xmlTime time.Time

func (t xmlTime) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

func timeOrNil(t time.Time) *xmlTime {
	if t.IsZero() {
		return nil
	}
	x := xmlTime(t)
	return &x
}

// queryAnswer is the envelope of Auto Scaling and STS.
type queryAnswer struct {
	namespace, action, requestID string
	result                       any
}

type responseMetadata struct {
	XMLName   xml.Name `xml:"ResponseMetadata"`
	RequestID string   `xml:"RequestId"`
}

// MarshalXML names the elements after the action.
func (a queryAnswer) MarshalXML(enc *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{Name: xml.Name{Space: a.namespace, Local: a.action + "Response"}}
	if err := enc.EncodeToken(start); err != nil {
		return err
	}
	if a.result != nil {
		name := xml.StartElement{Name: xml.Name{Local: a.action + "Result"}}
		if err := enc.EncodeElement(a.result, name); err != nil {
			return err
		}
	}
	if err := enc.Encode(responseMetadata{RequestID: a.requestID}); err != nil {
		return err
	}
	return enc.EncodeToken(start.End())
}

// ec2Answer is the envelope of EC2: the result itself, named after the action.
type ec2Answer struct {
	namespace, action string
	result            any
}

// MarshalXML names the root after the action.
func (a ec2Answer) MarshalXML(enc *xml.Encoder, _ xml.StartElement) error {
	return enc.EncodeElement(a.result, xml.StartElement{Name: xml.Name{Space: a.namespace, Local: a.action + "Response"}})
}

// ec2Head is what every answer of EC2 begins with; results embed it.
type ec2Head struct {
	RequestID string `xml:"requestId"`
}

func (h *ec2Head) setRequestID(id string) { h.RequestID = id }

// ec2Done is the answer of actions with nothing to say.
type ec2Done struct {
	ec2Head
	Return bool `xml:"return"`
}

// empty is the result of Auto Scaling actions with nothing to say.
type empty struct{}

type queryError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Xmlns   string   `xml:"xmlns,attr"`
	Error   struct {
		Type    string
		Code    string
		Message string
	}
	RequestID string `xml:"RequestId"`
}

type ec2Error struct {
	XMLName xml.Name `xml:"Response"`
	Errors  struct {
		Error struct {
			Code    string
			Message string
		}
	}
	RequestID string `xml:"RequestID"`
}
