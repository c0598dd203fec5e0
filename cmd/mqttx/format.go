package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/e8743928/mqttx/packet"
)

// format appends what sub prints of a message, but for the end of the line.
type format func(b []byte, m *packet.Publish) []byte

// parseFormat reads the name of a format, or a template.
func parseFormat(s string) (format, error) {
	switch s {
	case "payload":
		return formatPayload, nil
	case "topic":
		return parseTemplate("%t %p")
	case "json":
		return formatJSON, nil
	}
	if !strings.Contains(s, "%") {
		return nil, fmt.Errorf("want payload, topic, json or a template with %%t, %%p, %%q, %%r or %%i")
	}
	return parseTemplate(s)
}

func formatPayload(b []byte, m *packet.Publish) []byte { return append(b, m.Payload...) }

// parts are the letters of a template.
var parts = map[byte]format{
	't': func(b []byte, m *packet.Publish) []byte { return append(b, m.Topic...) },
	'p': formatPayload,
	'q': func(b []byte, m *packet.Publish) []byte { return strconv.AppendInt(b, int64(m.QoS), 10) },
	'r': func(b []byte, m *packet.Publish) []byte {
		if m.Retain {
			return append(b, '1')
		}
		return append(b, '0')
	},
	'i': func(b []byte, m *packet.Publish) []byte {
		for i, id := range m.SubscriptionIDs {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, uint64(id), 10)
		}
		return b
	},
	'%': func(b []byte, _ *packet.Publish) []byte { return append(b, '%') },
}

// parseTemplate reads text with letters behind percent signs.
func parseTemplate(s string) (format, error) {
	var all []format
	for s != "" {
		text, rest, found := strings.Cut(s, "%")
		all = append(all, func(b []byte, _ *packet.Publish) []byte { return append(b, text...) })
		if !found {
			break
		}
		if rest == "" {
			return nil, fmt.Errorf("a single %% at the end of the template")
		}
		part := parts[rest[0]]
		if part == nil {
			return nil, fmt.Errorf("%%%c in the template is not %%t, %%p, %%q, %%r, %%i or %%%%", rest[0])
		}
		all = append(all, part)
		s = rest[1:]
	}
	return func(b []byte, m *packet.Publish) []byte {
		for _, part := range all {
			b = part(b, m)
		}
		return b
	}, nil
}

// jsonMessage is a message as JSON. Of payload and payload_base64 there is one: the
// latter if the payload is not UTF-8.
type jsonMessage struct {
	Topic         string         `json:"topic"`
	QoS           packet.QoS     `json:"qos"`
	Retain        bool           `json:"retain"`
	Payload       *string        `json:"payload,omitempty"`
	PayloadBase64 []byte         `json:"payload_base64,omitempty"`
	Expiry        *uint32        `json:"expiry,omitempty"` // seconds left
	ContentType   string         `json:"content_type,omitempty"`
	ResponseTopic string         `json:"response_topic,omitempty"`
	Correlation   []byte         `json:"correlation_data_base64,omitempty"`
	IDs           []uint32       `json:"subscription_ids,omitempty"`
	User          []jsonProperty `json:"user_properties,omitempty"`
}

type jsonProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func formatJSON(b []byte, m *packet.Publish) []byte {
	j := jsonMessage{
		Topic: string(m.Topic), QoS: m.QoS, Retain: m.Retain,
		ContentType: string(m.ContentType), ResponseTopic: string(m.ResponseTopic), Correlation: m.CorrelationData, IDs: m.SubscriptionIDs,
	}
	if utf8.Valid(m.Payload) {
		text := string(m.Payload)
		j.Payload = &text
	} else {
		j.PayloadBase64 = m.Payload
	}
	if m.HasMessageExpiry {
		j.Expiry = &m.MessageExpiryInterval
	}
	for _, p := range m.User {
		j.User = append(j.User, jsonProperty(p))
	}
	buf := bytes.NewBuffer(b)
	e := json.NewEncoder(buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(&j); err != nil {
		return b // cannot be: all fields are strings and numbers
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
}
