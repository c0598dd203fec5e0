package mqtt5_test

import (
	"testing"

	"github.com/e8743928/mqttx"
)

func TestMQTT5_4_12_0_1_UnknownMethod(t *testing.T) { play(t, "4.12.0-1") }
func TestMQTT5_4_12_0_2_MoreData(t *testing.T)      { play(t, "4.12.0-2") }
func TestMQTT5_4_12_0_3_OnlyContinue(t *testing.T)  { play(t, "4.12.0-3") }
func TestMQTT5_4_12_0_4_Refused(t *testing.T)       { play(t, "4.12.0-4") }
func TestMQTT5_4_12_0_5_SameMethod(t *testing.T)    { play(t, "4.12.0-5") }
func TestMQTT5_4_12_0_6_NoMethod(t *testing.T)      { play(t, "4.12.0-6") }

func TestMQTT5_4_12_0_7_NoAuth(t *testing.T) {
	play(t, "4.12.0-7")
	offend(t,
		offence{"Re-authenticate", `f0 19 06 15 0003 74776f`, mqttx.ProtocolError}, offence{"Continue", `f0 18 06 15 0003 74776f`, mqttx.ProtocolError},
		offence{"without a method", `f0 19 00`, mqttx.ProtocolError}, offence{"bare", `f0`, mqttx.ProtocolError},
	)
}

func TestMQTT5_4_12_1_1_MethodStays(t *testing.T) { play(t, "4.12.1-1") }
func TestMQTT5_4_12_1_2_FailedAgain(t *testing.T) { play(t, "4.12.1-2") }
