// Package mqttest tests handlers, stores and servers of mqttx: with servers and raw clients in memory, without sockets, and
// in virtual time if the test runs in a bubble of testing/synctest.
//
//	func TestFloors(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			srv := mqttest.NewServer(t, New())
//			c := mqttest.Connect(t, srv, &packet.Connect{ClientID: "third-lamp"})
//			c.Subscribe("#", 1)
//			if code := c.Publish("second/lamp", "on", 1); code != mqttx.NotAuthorized {
//				t.Errorf("PUBACK %v", code)
//			}
//			c.Nothing()
//		})
//	}
//
// [NewServer] and [Start] close a Server at the end of the test; [Connect], [TryConnect] and [Dial] give a [Client] that
// reaches it through a [Pipe]; [NewClient] makes one of any connection. [RunScripts] runs dialogues from files.
// [TestStore] is the contract of a [mqttx.Store], [MemStore] one that can be made slow or fail. [Leaks] finds goroutines
// that outlive a test.
//
// # In a bubble and outside
//
// All works in both. In a bubble waiting takes no real time, the methods of a Client that wait up to 10 s do so in virtual
// time, and [Client.Nothing] is certain. There [Advance] lets a keep alive or an expiry pass.
//
// # Scripts
//
// A script is a text of lines; # at its start makes a line a comment. A line that begins with == and a title begins a
// dialogue, which is a subtest with a server and a bubble of its own; a script without such lines is one dialogue. Several
// steps may stand in a line, with ; between them. For example:
//
//	== takeover  [MQTT-3.1.4-3]
//	a > CONNECT v5 id=x clean expiry=60 will=t/w,payload,1,retain
//	a < CONNACK 0 present=0
//	b > CONNECT v5 id=x
//	a < DISCONNECT SessionTakenOver
//	a closed
//	b < CONNACK present=1
//	b > SUBSCRIBE 7 a/+ qos=1 nolocal ; < SUBACK 7 1
//
// The steps are, with a client's name in front that > and < may leave out if it is that of the step before:
//
//	a > packet        a sends it; its first one opens a connection, and so does CONNECT when the last one has ended
//	a > packet & ...  several in one write
//	a > hex 10 0c ... these bytes
//	a < packet        the next packet that a gets, and it has come by now
//	a < hex 20 02 ... the same, byte by byte
//	a nothing         no packet has come that was not taken with <
//	a closed          the server has closed the connection, and no packet came before that
//	a drop            a closes the connection without DISCONNECT
//	a stop, a read    a stops reading, reads again: see Client.StopReading
//	wait 5s           virtual time passes; it does at no other place
//	server Idle=5s    before the first client: fields of mqttx.Limits by name, Compat as mqttx.ParseCompat reads it, and
//	                  Disabled, some of retain,wildcard,shared,alias
//
// After each step the server is given the time, but no virtual time, to do all that it has to do.
//
// # Packets in scripts
//
// A packet is the name of its type, then words in their place, then name=value in any order. name alone stands for name=1.
// Text needs "quotes", with the escapes of Go, if it holds a space or one of " = , : * ; & \ or could be taken for
// something else. Data are text, or hex:0a0b; "x"*5000 is 5,000 times x. A Reason Code is a number or the standard's name
// without spaces, NotAuthorized. What may repeat is marked with a *.
//
//	CONNECT [v5|v311|v31]           clean id= keepalive= username= password= expiry= recvmax= maxpacket= aliasmax=
//	                                responseinfo noproblem method= data= *user=name:value bridge
//	                                will=topic,payload[,qos][,retain] and then willdelay= willexpiry= willformat=
//	                                willtype= willresponse= willcorrelation= *willuser=
//	CONNACK code                    present= id= keepalive= expiry= recvmax= maxpacket= aliasmax= maxqos= retain=
//	                                wildcard= subids= shared= responseinfo= server= method= data= reason= *user=
//	PUBLISH topic payload           qos= id= retain dup alias= expiry= format=bytes|utf8 type= response= correlation=
//	                                *subid= *user=
//	PUBACK id code                  reason= *user=; so are PUBREC, PUBREL, PUBCOMP
//	SUBSCRIBE id *filter            behind each filter: qos= nolocal aspublished handling=; subid= *user=
//	SUBACK id *code                 reason= *user=; so is UNSUBACK
//	UNSUBSCRIBE id *filter          *user=
//	DISCONNECT code                 expiry= server= reason= *user=
//	AUTH code                       method= data= reason= *user=
//	PINGREQ, PINGRESP
//
// Behind > what is not named is zero or absent. Behind < it is not compared, but that an answer without its code must not
// be a refusal; the word only says that nothing else is in the packet. There name=none means that the field is absent.
// What may repeat is compared as a whole, in its order. A Packet Identifier may be $name: behind < it takes the name for
// what came, anywhere later it stands for that.
//
// [Format] writes packets in this notation.
package mqttest
