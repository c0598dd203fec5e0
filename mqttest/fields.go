package mqttest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/e8743928/mqttx/packet"
)

// form is how a type of packet is written: words in their places, then named ones in any order.
type form struct {
	places []field
	named  []field
}

// formOf gives the form of a packet type.
func formOf(t packet.Type) form {
	switch t {
	case packet.TypeConnect:
		return connectForm()
	case packet.TypeConnack:
		return connackForm()
	case packet.TypePublish:
		return publishForm()
	case packet.TypePuback:
		type P = packet.Puback
		return ackForm(func(p *P) (*uint16, *packet.ReasonCode, *string, *[]packet.UserProperty) {
			return &p.PacketID, &p.Code, &p.ReasonString, &p.User
		})
	case packet.TypePubrec:
		type P = packet.Pubrec
		return ackForm(func(p *P) (*uint16, *packet.ReasonCode, *string, *[]packet.UserProperty) {
			return &p.PacketID, &p.Code, &p.ReasonString, &p.User
		})
	case packet.TypePubrel:
		type P = packet.Pubrel
		return ackForm(func(p *P) (*uint16, *packet.ReasonCode, *string, *[]packet.UserProperty) {
			return &p.PacketID, &p.Code, &p.ReasonString, &p.User
		})
	case packet.TypePubcomp:
		type P = packet.Pubcomp
		return ackForm(func(p *P) (*uint16, *packet.ReasonCode, *string, *[]packet.UserProperty) {
			return &p.PacketID, &p.Code, &p.ReasonString, &p.User
		})
	case packet.TypeSubscribe:
		return subscribeForm()
	case packet.TypeSuback:
		type P = packet.Suback
		return form{
			[]field{id(func(p *P) *uint16 { return &p.PacketID }), codes(func(p *P) *[]packet.ReasonCode { return &p.Codes })},
			[]field{str("reason", func(p *P) *string { return &p.ReasonString }), users("user", func(p *P) *[]packet.UserProperty { return &p.User })},
		}
	case packet.TypeUnsubscribe:
		return unsubscribeForm()
	case packet.TypeUnsuback:
		type P = packet.Unsuback
		return form{
			[]field{id(func(p *P) *uint16 { return &p.PacketID }), codes(func(p *P) *[]packet.ReasonCode { return &p.Codes })},
			[]field{str("reason", func(p *P) *string { return &p.ReasonString }), users("user", func(p *P) *[]packet.UserProperty { return &p.User })},
		}
	case packet.TypeDisconnect:
		return disconnectForm()
	case packet.TypeAuth:
		return authForm()
	}
	return form{} // PINGREQ and PINGRESP have no fields
}

func ackForm[P any](of func(p *P) (*uint16, *packet.ReasonCode, *string, *[]packet.UserProperty)) form {
	return form{
		[]field{
			id(func(p *P) *uint16 { n, _, _, _ := of(p); return n }),
			code(func(p *P) *packet.ReasonCode { _, c, _, _ := of(p); return c }),
		},
		[]field{
			str("reason", func(p *P) *string { _, _, s, _ := of(p); return s }),
			users("user", func(p *P) *[]packet.UserProperty { _, _, _, u := of(p); return u }),
		},
	}
}

var versionWords = map[packet.Version]string{packet.V31: "v31", packet.V311: "v311", packet.V5: "v5"}

func connectForm() form {
	type P = packet.Connect
	version := of("version", func(p *P) *packet.Version { return &p.Version }, func(v packet.Version) []string {
		if w := versionWords[v]; w != "" {
			return []string{w}
		}
		return nil
	}, func(v *packet.Version, word string) error {
		for n, w := range versionWords {
			if w == word {
				*v = n
				return nil
			}
		}
		return fmt.Errorf("%s is none of v31, v311, v5", word)
	})
	username := of("username", func(p *P) *P { return p }, func(p P) []string {
		if !p.HasUsername && p.Username == "" {
			return nil
		}
		return []string{quoteText(p.Username)}
	}, func(p *P, word string) (err error) {
		p.HasUsername = true
		p.Username, err = text(word)
		return err
	})
	return form{[]field{version}, append([]field{
		flag("clean", func(p *P) *bool { return &p.CleanStart }),
		flag("bridge", func(p *P) *bool { return &p.Bridge }),
		str("id", func(p *P) *string { return &p.ClientID }),
		num("keepalive", func(p *P) *uint16 { return &p.KeepAlive }),
		username,
		bin("password", func(p *P) *[]byte { return &p.Password }),
		optNum("expiry", func(p *P) **uint32 { return &p.SessionExpiryInterval }),
		num("recvmax", func(p *P) *uint16 { return &p.ReceiveMaximum }),
		num("maxpacket", func(p *P) *uint32 { return &p.MaximumPacketSize }),
		num("aliasmax", func(p *P) *uint16 { return &p.TopicAliasMaximum }),
		flag("responseinfo", func(p *P) *bool { return &p.RequestResponseInformation }),
		flag("noproblem", func(p *P) *bool { return &p.NoProblemInformation }),
		str("method", func(p *P) *string { return &p.AuthenticationMethod }),
		bin("data", func(p *P) *[]byte { return &p.AuthenticationData }),
		users("user", func(p *P) *[]packet.UserProperty { return &p.User }),
	}, willFields()...)}
}

// willFields are will=topic,payload[,qos][,retain] and the properties of the will.
func willFields() []field {
	type P = packet.Connect
	will := of("will", func(p *P) **packet.Will { return &p.Will }, func(w *packet.Will) []string {
		if w == nil {
			return nil
		}
		s := quoteText(w.Topic) + "," + quoteData(w.Payload) + "," + strconv.Itoa(int(w.QoS))
		if w.Retain {
			s += ",retain"
		}
		return []string{s}
	}, readWill)
	type Users = []packet.UserProperty
	return []field{
		will,
		num("willdelay", inWill(func(w *packet.Will) *uint32 { return &w.DelayInterval })),
		format("willformat", inWill(func(w *packet.Will) *packet.PayloadFormat { return &w.PayloadFormat })),
		optNum("willexpiry", inWill(func(w *packet.Will) **uint32 { return &w.MessageExpiryInterval })),
		str("willtype", inWill(func(w *packet.Will) *string { return &w.ContentType })),
		str("willresponse", inWill(func(w *packet.Will) *string { return &w.ResponseTopic })),
		bin("willcorrelation", inWill(func(w *packet.Will) *[]byte { return &w.CorrelationData })),
		users("willuser", inWill(func(w *packet.Will) *Users { return &w.User })),
	}
}

// inWill finds something in the will of a CONNECT, nil if it has none.
func inWill[V any](at func(w *packet.Will) *V) func(p *packet.Connect) *V {
	return func(p *packet.Connect) *V {
		if p.Will == nil {
			return nil
		}
		return at(p.Will)
	}
}

func readWill(v **packet.Will, word string) error {
	w := &packet.Will{}
	topic, rest, _ := cutWord(word, ",")
	payload, rest, _ := cutWord(rest, ",")
	var err1, err2 error
	w.Topic, err1 = text(topic)
	w.Payload, err2 = data(payload)
	for o := range strings.SplitSeq(rest, ",") {
		switch o {
		case "0", "1", "2":
			w.QoS = packet.QoS(o[0] - '0')
		case "retain":
			w.Retain = true
		case "":
		default:
			return fmt.Errorf("will: %s is neither a QoS nor retain", o)
		}
	}
	*v = w
	return errors.Join(err1, err2)
}

func connackForm() form {
	type P = packet.Connack
	return form{[]field{code(func(p *P) *packet.ReasonCode { return &p.Code })}, []field{
		bit("present", func(p *P) *bool { return &p.SessionPresent }),
		str("id", func(p *P) *string { return &p.AssignedClientID }),
		optNum("keepalive", func(p *P) **uint16 { return &p.ServerKeepAlive }),
		optNum("expiry", func(p *P) **uint32 { return &p.SessionExpiryInterval }),
		num("recvmax", func(p *P) *uint16 { return &p.ReceiveMaximum }),
		num("maxpacket", func(p *P) *uint32 { return &p.MaximumPacketSize }),
		optNum("aliasmax", func(p *P) **uint16 { return &p.TopicAliasMaximum }),
		optNum("maxqos", func(p *P) **packet.QoS { return &p.MaximumQoS }),
		optBit("retain", func(p *P) **bool { return &p.RetainAvailable }),
		optBit("wildcard", func(p *P) **bool { return &p.WildcardSubscriptionAvailable }),
		optBit("subids", func(p *P) **bool { return &p.SubscriptionIdentifierAvailable }),
		optBit("shared", func(p *P) **bool { return &p.SharedSubscriptionAvailable }),
		str("responseinfo", func(p *P) *string { return &p.ResponseInformation }),
		str("server", func(p *P) *string { return &p.ServerReference }),
		str("method", func(p *P) *string { return &p.AuthenticationMethod }),
		bin("data", func(p *P) *[]byte { return &p.AuthenticationData }),
		str("reason", func(p *P) *string { return &p.ReasonString }),
		users("user", func(p *P) *[]packet.UserProperty { return &p.User }),
	}}
}

func publishForm() form {
	type P = packet.Publish
	topic := of("topic", func(p *P) *[]byte { return &p.Topic }, func(b []byte) []string {
		return []string{quoteText(string(b))}
	}, func(v *[]byte, word string) (err error) {
		*v, err = data(word)
		return err
	})
	payload := of("payload", func(p *P) *[]byte { return &p.Payload }, func(b []byte) []string {
		return []string{quoteData(b)}
	}, func(v *[]byte, word string) (err error) {
		*v, err = data(word)
		return err
	})
	expiry := of("expiry", func(p *P) *P { return p }, func(p P) []string {
		if !p.HasMessageExpiry {
			return nil
		}
		return []string{strconv.FormatUint(uint64(p.MessageExpiryInterval), 10)}
	}, func(p *P, word string) error {
		p.HasMessageExpiry = true
		return readNumber(&p.MessageExpiryInterval, word)
	})
	subID := of("subid", func(p *P) *[]uint32 { return &p.SubscriptionIDs }, func(ids []uint32) []string {
		var out []string
		for _, n := range ids {
			out = append(out, strconv.FormatUint(uint64(n), 10))
		}
		return out
	}, func(v *[]uint32, word string) error {
		*v = append(*v, 0)
		return readNumber(&(*v)[len(*v)-1], word)
	})
	subID.list = true
	return form{[]field{topic, payload}, []field{
		num("qos", func(p *P) *packet.QoS { return &p.QoS }),
		asID(num("id", func(p *P) *uint16 { return &p.PacketID })),
		flag("retain", func(p *P) *bool { return &p.Retain }),
		flag("dup", func(p *P) *bool { return &p.Dup }),
		num("alias", func(p *P) *uint16 { return &p.TopicAlias }),
		expiry,
		format("format", func(p *P) *packet.PayloadFormat { return &p.PayloadFormat }),
		word("type", func(p *P) *[]byte { return &p.ContentType }),
		word("response", func(p *P) *[]byte { return &p.ResponseTopic }),
		bin("correlation", func(p *P) *[]byte { return &p.CorrelationData }),
		subID,
		users("user", func(p *P) *[]packet.UserProperty { return &p.User }),
	}}
}

func subscribeForm() form {
	type P = packet.Subscribe
	filters := of("filters", func(p *P) *[]packet.Filter { return &p.Filters }, writeFilters, func(v *[]packet.Filter, word string) error {
		s, err := text(word)
		*v = append(*v, packet.Filter{Filter: s})
		return err
	})
	filters.list = true
	return form{[]field{id(func(p *P) *uint16 { return &p.PacketID }), filters}, []field{
		num("subid", func(p *P) *uint32 { return &p.SubscriptionID }),
		users("user", func(p *P) *[]packet.UserProperty { return &p.User }),
		optionOf(num("qos", inFilter(func(f *packet.Filter) *packet.QoS { return &f.QoS }))),
		optionOf(flag("nolocal", inFilter(func(f *packet.Filter) *bool { return &f.NoLocal }))),
		optionOf(flag("aspublished", inFilter(func(f *packet.Filter) *bool { return &f.RetainAsPublished }))),
		optionOf(num("handling", inFilter(func(f *packet.Filter) *byte { return &f.RetainHandling }))),
	}}
}

// inFilter finds something in the filter read last.
func inFilter[V any](at func(f *packet.Filter) *V) func(p *packet.Subscribe) *V {
	return func(p *packet.Subscribe) *V {
		if len(p.Filters) == 0 {
			return nil
		}
		return at(&p.Filters[len(p.Filters)-1])
	}
}

// optionOf makes a field of a filter: it is written with the filter, so it has nothing to show of its own.
func optionOf(f field) field {
	set := f.set
	f.set = func(p packet.Packet, word string) error {
		if len(p.(*packet.Subscribe).Filters) == 0 {
			return errors.New("has to stand behind a filter")
		}
		return set(p, word)
	}
	f.get = func(packet.Packet) []string { return nil }
	return f
}

func writeFilters(fs []packet.Filter) []string {
	var out []string
	for _, f := range fs {
		s := quoteText(f.Filter)
		if f.QoS > 0 {
			s += " qos=" + strconv.Itoa(int(f.QoS))
		}
		if f.NoLocal {
			s += " nolocal"
		}
		if f.RetainAsPublished {
			s += " aspublished"
		}
		if f.RetainHandling > 0 {
			s += " handling=" + strconv.Itoa(int(f.RetainHandling))
		}
		out = append(out, s)
	}
	return out
}

func unsubscribeForm() form {
	type P = packet.Unsubscribe
	filters := of("filters", func(p *P) *[]string { return &p.Filters }, func(fs []string) []string {
		var out []string
		for _, f := range fs {
			out = append(out, quoteText(f))
		}
		return out
	}, func(v *[]string, word string) error {
		s, err := text(word)
		*v = append(*v, s)
		return err
	})
	filters.list = true
	return form{
		[]field{id(func(p *P) *uint16 { return &p.PacketID }), filters},
		[]field{users("user", func(p *P) *[]packet.UserProperty { return &p.User })},
	}
}

func disconnectForm() form {
	type P = packet.Disconnect
	return form{[]field{code(func(p *P) *packet.ReasonCode { return &p.Code })}, []field{
		optNum("expiry", func(p *P) **uint32 { return &p.SessionExpiryInterval }),
		str("server", func(p *P) *string { return &p.ServerReference }),
		str("reason", func(p *P) *string { return &p.ReasonString }),
		users("user", func(p *P) *[]packet.UserProperty { return &p.User }),
	}}
}

func authForm() form {
	type P = packet.Auth
	return form{[]field{code(func(p *P) *packet.ReasonCode { return &p.Code })}, []field{
		str("method", func(p *P) *string { return &p.AuthenticationMethod }),
		bin("data", func(p *P) *[]byte { return &p.AuthenticationData }),
		str("reason", func(p *P) *string { return &p.ReasonString }),
		users("user", func(p *P) *[]packet.UserProperty { return &p.User }),
	}}
}
