package mqttest

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/e8743928/mqttx"
)

// setServer sets what a word such as ReceiveMaximum=10 names: a field of Limits, Compat, or Disabled.
func setServer(s *mqttx.Server, word string) error {
	name, value, ok := strings.Cut(word, "=")
	if !ok {
		return fmt.Errorf("%s: want a field of the server, as in ReceiveMaximum=10", word)
	}
	switch name {
	case "Compat":
		c, err := mqttx.ParseCompat(value)
		s.Compat = c
		return err
	case "Disabled":
		for f := range strings.SplitSeq(value, ",") {
			bit, ok := features[f]
			if !ok {
				return fmt.Errorf("%s is none of retain, wildcard, shared, alias", f)
			}
			s.Disabled |= bit
		}
		return nil
	}
	f := reflect.ValueOf(&s.Limits).Elem().FieldByName(name)
	if !f.IsValid() {
		return fmt.Errorf("%s is neither Compat, Disabled nor a field of mqttx.Limits", name)
	}
	switch {
	case f.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(value)
		f.SetInt(int64(d))
		return err
	case f.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(value)
		f.SetBool(b)
		return err
	default:
		n, err := strconv.Atoi(value)
		f.SetInt(int64(n))
		return err
	}
}

var features = map[string]mqttx.Feature{
	"retain": mqttx.FeatureRetain, "wildcard": mqttx.FeatureWildcard, "shared": mqttx.FeatureShared, "alias": mqttx.FeatureTopicAlias,
}
