package mqttx

import (
	"fmt"
	"strings"
)

// Feature is a set of capabilities that a Server can do without; MQTT 5.0 clients are told in CONNACK.
type Feature uint

// The features that Server.Disabled can switch off.
const (
	FeatureRetain     Feature = 1 << iota // retained messages (G77)
	FeatureWildcard                       // + and # in filters (G78)
	FeatureShared                         // shared subscriptions (G75)
	FeatureTopicAlias                     // Topic Aliases from clients (G58)
	FeatureQoS1                           // QoS 1 and 2: Maximum QoS is 0 [MQTT-3.2.2-9]
	FeatureQoS2                           // QoS 2: Maximum QoS is 1
)

// maximumQoS gives the highest QoS that clients may publish with.
func (f Feature) maximumQoS() QoS {
	switch {
	case f&FeatureQoS1 != 0:
		return 0
	case f&FeatureQoS2 != 0:
		return 1
	}
	return 2
}

// Compat is a set of departures from the standard, each of them a promise of the server guide where it and the standard
// disagree. The zero value follows the standard.
type Compat uint

// The departures.
const (
	RateRefusal96     Compat = 1 << iota // PUBACK and PUBREC 0x96 over the message rate, instead of 0x97 (G32)
	WindowRefusal93                      // PUBREC 0x93 for excess QoS 2, QoS 1 not counted (G62, G65)
	TimedResendV5                        // QoS 2 packets are sent again on a timer in MQTT 5.0 too (G70-G72)
	DropAfterTries                       // after the last resend the entry is dropped and the connection stays (G73)
	CleanSessionsOnly                    // no session outlives its connection (G82)
	NoSubscriptionIDs                    // Subscription Identifiers are announced as not available and refused (G79)
	NoExpiryIfAbsent                     // MQTT 5.0 without Session Expiry Interval: SessionExpired is not called (G49)

	// GuideCompat is all of them: the letter of the server guide.
	GuideCompat = RateRefusal96 | WindowRefusal93 | TimedResendV5 | DropAfterTries | CleanSessionsOnly | NoSubscriptionIDs |
		NoExpiryIfAbsent
)

// compatNames are the names of single options in configuration, in the order of their bits.
var compatNames = [...]string{
	"rate-refusal-96", "window-refusal-93", "timed-resend-v5", "drop-after-tries", "clean-sessions-only",
	"no-subscription-ids", "no-expiry-if-absent",
}

// String gives "standard", "guide", or the names of the options, separated by commas; [ParseCompat] reads it.
func (c Compat) String() string {
	switch c {
	case 0:
		return "standard"
	case GuideCompat:
		return "guide"
	}
	var names []string
	for i, n := range compatNames {
		if c&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// ParseCompat reads "standard", "guide", or names of options separated by commas, such as "rate-refusal-96". An error names
// the part that is none of these, and all that there are.
func ParseCompat(s string) (Compat, error) {
	var c Compat
next:
	for name := range strings.SplitSeq(s, ",") {
		switch name = strings.TrimSpace(name); name {
		case "", "standard":
			continue
		case "guide":
			c |= GuideCompat
			continue
		}
		for i, n := range compatNames {
			if n == name {
				c |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("mqttx: unknown compat option %q: want standard, guide, or some of %s", name, strings.Join(compatNames[:], ", "))
	}
	return c, nil
}
