package mqtt311_test

import (
	"testing"
)

func TestMQTT311_3_1_2_4_CleanSession0(t *testing.T)       { script(t, "3.1.2-4") }
func TestMQTT311_3_1_2_5_QueuedWhileAway(t *testing.T)     { script(t, "3.1.2-5") }
func TestMQTT311_3_1_2_6_CleanSession1(t *testing.T)       { script(t, "3.1.2-6") }
func TestMQTT311_3_1_2_7_RetainedOutlives(t *testing.T)    { script(t, "3.1.2-7") }
func TestMQTT311_3_1_3_2_ClientIDIsTheKey(t *testing.T)    { script(t, "3.1.3-2") }
func TestMQTT311_3_1_4_2_TakeOver(t *testing.T)            { script(t, "3.1.4-2") }
func TestMQTT311_3_1_4_3_CleanWhenAccepted(t *testing.T)   { script(t, "3.1.4-3") }
func TestMQTT311_4_1_0_1_StateIsKept(t *testing.T)         { script(t, "4.1.0-1") }
func TestMQTT311_4_1_0_2_AsLongAsConnected(t *testing.T)   { script(t, "4.1.0-2") }
func TestMQTT311_4_5_0_1_EveryMatchingClient(t *testing.T) { script(t, "4.5.0-1") }

func TestMQTT311_3_1_2_24_KeepAlive(t *testing.T)              { script(t, "3.1.2-24") }
func TestMQTT311_3_12_4_1_Pingresp(t *testing.T)               { script(t, "3.12.4-1") }
func TestMQTT311_3_14_4_1_ServerCloses(t *testing.T)           { script(t, "3.14.4-1") }
func TestMQTT311_3_14_4_2_NothingAfterDisconnect(t *testing.T) { script(t, "3.14.4-2") }
