package mqttx_test

import (
	"context"
	"errors"
	"testing"

	"github.com/e8743928/mqttx"
	"github.com/e8743928/mqttx/mqttest"
	"github.com/e8743928/mqttx/packet"
)

// What a callback's error says stands in the reason of the end once, however the error is made.
func TestDisconnectErrorSaysItOnce(t *testing.T) {
	kicked := &mqttx.Error{Code: mqttx.AdministrativeAction, Text: "kicked", Err: errors.New("rule 7")}
	for _, test := range []struct {
		why  error
		want string
	}{
		{mqttx.Disconnect(mqttx.QuotaExceeded), "mqttx: disconnected by server: Quota exceeded (0x97)"},
		{mqttx.Disconnect(kicked), "mqttx: disconnected by server: Administrative action (0x98): kicked: rule 7"},
		{mqttx.Disconnect(errors.New("no database")), "mqttx: disconnected by server: Unspecified error (0x80): no database"},
		{nil, "mqttx: disconnected by server: Unspecified error (0x80): panic in a callback: oh"},
	} {
		srv := mqttest.NewServer(t, mqttx.Callbacks[*mqttx.Conn]{
			Publish: func(_ context.Context, _ *mqttx.Conn, _ *mqttx.Message) error {
				if test.why == nil {
					panic("oh")
				}
				return test.why
			},
		})
		c := mqttest.Connect(t, srv, nil)
		c.Send(&packet.Publish{Topic: []byte("a")})
		why := c.Served()
		if why.Error() != test.want {
			t.Errorf("%v: got %q, want %q", test.why, why, test.want)
		}
		if test.why != nil && !errors.Is(why, errors.Unwrap(test.why)) {
			t.Errorf("%q does not wrap %v", why, test.why)
		}
	}
}
