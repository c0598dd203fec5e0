package packet_test

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/e8743928/mqttx/packet"
)

// reasonPlaces are the 5.0 packets with a Reason Code, at %02x.
var reasonPlaces = map[packet.Type]string{
	packet.TypeConnack:    `20 { 00 %02x {} }`,
	packet.TypePuback:     `40 { 0001 %02x }`,
	packet.TypePubrec:     `50 { 0001 %02x }`,
	packet.TypePubrel:     `62 { 0001 %02x }`,
	packet.TypePubcomp:    `70 { 0001 %02x }`,
	packet.TypeSuback:     `90 { 0001 {} %02x }`,
	packet.TypeUnsuback:   `b0 { 0001 {} %02x }`,
	packet.TypeDisconnect: `e0 { %02x }`,
	packet.TypeAuth:       `f0 { %02x { 15 "m" } }`,
}

func withReason(typ packet.Type, c packet.ReasonCode) packet.Packet {
	switch typ {
	case packet.TypeConnack:
		return &packet.Connack{Code: c}
	case packet.TypePuback:
		return &packet.Puback{PacketID: 1, Code: c}
	case packet.TypePubrec:
		return &packet.Pubrec{PacketID: 1, Code: c}
	case packet.TypePubrel:
		return &packet.Pubrel{PacketID: 1, Code: c}
	case packet.TypePubcomp:
		return &packet.Pubcomp{PacketID: 1, Code: c}
	case packet.TypeSuback:
		return &packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{c}}
	case packet.TypeUnsuback:
		return &packet.Unsuback{PacketID: 1, Codes: []packet.ReasonCode{c}}
	case packet.TypeDisconnect:
		return &packet.Disconnect{Code: c}
	}
	return &packet.Auth{Code: c, AuthenticationMethod: "m"}
}

// reasonTable is which code may stand in which packet, by the name of the type.
func reasonTable(t *testing.T) map[packet.ReasonCode]map[string]bool {
	t.Helper()
	in := map[packet.ReasonCode]map[string]bool{}
	for _, row := range table(t, "reason-codes.tsv") {
		n, err := strconv.ParseUint(row["code"], 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := packet.ReasonCode(n)
		if in[c] == nil {
			in[c] = map[string]bool{}
		}
		for name := range strings.SplitSeq(row["packets"], ",") {
			in[c][name] = true
		}
	}
	if len(in) != 43 {
		t.Fatalf("%d Reason Codes", len(in))
	}
	return in
}

// TestReasonCodes_Table takes all 256 values to all packets, in and out. Unlike
// the reader, the writer has room for the three pairs that a server can be set to send.
func TestReasonCodes_Table(t *testing.T) {
	in := reasonTable(t)
	lenient := map[string]bool{"0x96 PUBACK": true, "0x96 PUBREC": true, "0x93 PUBREC": true}
	for n := range 256 {
		c := packet.ReasonCode(n)
		for typ := packet.Type(0); typ <= 16; typ++ {
			legal := in[c][typ.String()]
			if c.In(typ) != legal {
				t.Errorf("%v in %v: %v", c, typ, !legal)
			}
			format, ok := reasonPlaces[typ]
			if !ok {
				continue
			}
			text := fmt.Sprintf(format, n)
			out, err := withReason(typ, c).Append(nil, v5)
			if !legal {
				refuse(t, v5, text, packet.ProtocolError, "")
				if lenient[fmt.Sprintf("%#02x %v", n, typ)] != (err == nil) {
					t.Errorf("%v in %v written: %v", c, typ, err)
				}
				continue
			}
			accept[packet.Packet](t, v5, text)
			if err != nil {
				t.Errorf("%v in %v: %v", c, typ, err)
				continue
			}
			if back, err := parse(out, v5); err != nil || fmt.Sprint(back) != fmt.Sprint(withReason(typ, c)) {
				t.Errorf("%v in %v: % x is %v, %v", c, typ, out, back, err)
			}
		}
	}
}

func TestReasonCodes_NamesAndSenders(t *testing.T) {
	other := map[string]bool{"Normal disconnection": true, "Granted QoS 0": true} // names of 0x00
	for _, row := range table(t, "reason-codes.tsv") {
		n, err := strconv.ParseUint(row["code"], 0, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := packet.ReasonCode(n)
		if c.String() != row["name"] && !other[row["name"]] {
			t.Errorf("%s is %q, not %q", row["code"], c.String(), row["name"])
		}
		if !strings.Contains(row["packets"], "DISCONNECT") {
			continue
		}
		sender := row["disconnect_sent_by"]
		// The two tables of the standard disagree on one code; it may be sent.
		want := sender == "both" || sender == "server" || c == packet.BadAuthenticationMethod
		if c.ByServer() != want {
			t.Errorf("%v by the server: %v", c, !want)
		}
		if want := sender == "both" || sender == "client"; c.ByClient() != want {
			t.Errorf("%v by a client: %v", c, !want)
		}
	}
	for n := range 256 {
		if c := packet.ReasonCode(n); c.ByServer() && !c.In(packet.TypeDisconnect) {
			t.Errorf("%v by the server", c)
		}
	}
}

// TestPitfall042_LegalCodesOnly has the other half of the table: what 3.1 and 3.1.1
// write.
func TestPitfall042_LegalCodesOnly(t *testing.T) {
	for _, v := range []packet.Version{v31, v311} {
		for n := range 256 {
			c := packet.ReasonCode(n)
			b, err := (&packet.Connack{Code: c}).Append(nil, v)
			if (err == nil) != (n <= 5) || err == nil && !bytes.Equal(b, []byte{0x20, 2, 0, byte(n)}) {
				t.Errorf("%v CONNACK %d: % x, %v", v, n, b, err)
			}
			if _, err := parse([]byte{0x20, 2, 0, byte(n)}, v); (err == nil) != (n <= 5) {
				t.Errorf("%v CONNACK %d: %v", v, n, err)
			}
			b, err = (&packet.Suback{PacketID: 1, Codes: []packet.ReasonCode{c}}).Append(nil, v)
			switch {
			case n <= 2:
				if err != nil || b[4] != byte(n) {
					t.Errorf("%v SUBACK %d: % x, %v", v, n, b, err)
				}
			case n >= 0x80:
				if err != nil || b[4] != 0x80 {
					t.Errorf("%v SUBACK %d: % x, %v", v, n, b, err)
				}
			case err == nil:
				t.Errorf("%v SUBACK %d: % x", v, n, b)
			}
			if _, err := parse([]byte{0x90, 3, 0, 1, byte(n)}, v); (err == nil) != (n <= 2 || n == 0x80) {
				t.Errorf("%v SUBACK %d: %v", v, n, err)
			}
		}
	}
}

func illegalCodes(t *testing.T, typ packet.Type, statement string) {
	t.Helper()
	in := reasonTable(t)
	for n := range 256 {
		if !in[packet.ReasonCode(n)][typ.String()] {
			refuse(t, v5, fmt.Sprintf(reasonPlaces[typ], n), packet.ProtocolError, statement)
		}
	}
}

func TestMQTT5_3_2_2_8_ConnackCodes(t *testing.T) {
	illegalCodes(t, packet.TypeConnack, "MQTT-3.2.2-8")
}

func TestMQTT5_3_4_2_1_PubackCodes(t *testing.T) {
	illegalCodes(t, packet.TypePuback, "MQTT-3.4.2-1")
}

func TestMQTT5_3_5_2_1_PubrecCodes(t *testing.T) {
	illegalCodes(t, packet.TypePubrec, "MQTT-3.5.2-1")
}

func TestMQTT5_3_6_2_1_PubrelCodes(t *testing.T) {
	illegalCodes(t, packet.TypePubrel, "MQTT-3.6.2-1")
}

func TestMQTT5_3_7_2_1_PubcompCodes(t *testing.T) {
	illegalCodes(t, packet.TypePubcomp, "MQTT-3.7.2-1")
}

func TestMQTT5_3_9_3_2_SubackCodes(t *testing.T) {
	illegalCodes(t, packet.TypeSuback, "MQTT-3.9.3-2")
}

func TestMQTT311_3_9_3_2_SubackCodes(t *testing.T) {
	refuse(t, v311, `90 { 0001 03 }`, packet.ProtocolError, "MQTT-3.9.3-2")
	refuse(t, v311, `90 { 0001 87 }`, packet.ProtocolError, "MQTT-3.9.3-2")
}

func TestMQTT5_3_11_3_2_UnsubackCodes(t *testing.T) {
	illegalCodes(t, packet.TypeUnsuback, "MQTT-3.11.3-2")
}

func TestMQTT5_3_14_2_1_DisconnectCodes(t *testing.T) {
	illegalCodes(t, packet.TypeDisconnect, "MQTT-3.14.2-1")
}

func TestMQTT5_3_15_2_1_AuthCodes(t *testing.T) {
	illegalCodes(t, packet.TypeAuth, "MQTT-3.15.2-1")
}

// A reader that wants to know sees the code all the same.
func TestReasonCode_KeptOnError(t *testing.T) {
	var p packet.Puback
	err := p.Parse(packet.Header{Type: packet.TypePuback, Length: 3}, []byte{0, 7, 0x96}, v5)
	refused(t, "PUBACK 0x96", err, packet.ProtocolError, "MQTT-3.4.2-1")
	if p.PacketID != 7 || p.Code != packet.MessageRateTooHigh {
		t.Errorf("%+v", p)
	}
}

func TestReasonCode_IsAnError(t *testing.T) {
	err := fmt.Errorf("refused: %w", packet.NotAuthorized)
	if !errors.Is(err, packet.NotAuthorized) || errors.Is(err, packet.Banned) {
		t.Error("not found by errors.Is")
	}
	if got := err.Error(); got != "refused: Not authorized (0x87)" {
		t.Error(got)
	}
	if got := packet.ReasonCode(5).Error(); got != "Unknown reason (0x05)" {
		t.Error(got)
	}
	if got := packet.ReasonCode(0xff).String(); got != "Unknown reason" {
		t.Error(got)
	}
}
