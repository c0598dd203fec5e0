package mqtt311_test

import "testing"

func TestMQTT311_3_1_2_8_Will(t *testing.T)      { script(t, "3.1.2-8") }
func TestMQTT311_3_1_2_10_WillOnce(t *testing.T) { script(t, "3.1.2-10") }
func TestMQTT311_3_1_2_12_NoWill(t *testing.T)   { script(t, "3.1.2-12") }

func TestMQTT311_3_1_2_14_WillQoS(t *testing.T) {
	badConnects(t, both, cases{"3": `1e "c" "w" "gone"`, "3 and retain": `3e "c" "w" "gone"`})
	script(t, "3.1.2-14")
}

func TestMQTT311_3_1_2_16_WillNotRetained(t *testing.T)    { script(t, "3.1.2-16") }
func TestMQTT311_3_1_2_17_WillRetained(t *testing.T)       { script(t, "3.1.2-17") }
func TestMQTT311_3_14_4_3_DisconnectDiscards(t *testing.T) { script(t, "3.14.4-3") }
