package packet_test

import (
	"errors"
	"fmt"

	"github.com/e8743928/mqttx/packet"
)

func ExampleParse() {
	b := []byte{0x32, 0x0c, 0, 3, 'a', '/', 'b', 0, 7, 'h', 'e', 'l', 'l', 'o'}
	h, n, err := packet.ParseHeader(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	if n == 0 || len(b) < n+h.Length {
		fmt.Println("more bytes are needed")
		return
	}
	p, err := packet.Parse(h, b[n:n+h.Length], packet.V311)
	if err != nil {
		fmt.Println(err)
		return
	}
	if p, ok := p.(*packet.Publish); ok {
		fmt.Printf("%v QoS %d, id %d, %s: %s\n", p.Type(), p.QoS, p.PacketID, p.Topic, p.Payload)
	}
	// Output: PUBLISH QoS 1, id 7, a/b: hello
}

func ExampleParse_error() {
	_, err := packet.Parse(packet.Header{Type: packet.TypePublish, Length: 6}, []byte{0, 3, 'a', '/', '#', 0}, packet.V5)
	fmt.Println(err)
	fmt.Println(errors.Is(err, packet.TopicNameInvalid))
	// Output:
	// packet: PUBLISH: wildcard in Topic Name: Topic Name invalid (0x90) [MQTT-3.3.2-2]
	// true
}

func ExamplePublish_Append() {
	p := &packet.Publish{
		QoS: 1, PacketID: 7, Topic: []byte("a/b"), Payload: []byte("hello"),
		User: []packet.UserProperty{{Name: "k", Value: "v"}},
	}
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		b, err := p.Append(nil, v)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%-5v % x\n", v, b)
	}
	// Output:
	// 3.1.1 32 0c 00 03 61 2f 62 00 07 68 65 6c 6c 6f
	// 5.0   32 14 00 03 61 2f 62 00 07 07 26 00 01 6b 00 01 76 68 65 6c 6c 6f
}

func ExamplePublish_AppendHead() {
	p := &packet.Publish{QoS: 1, Topic: []byte("a/b"), Payload: []byte("hello")}
	head, at, err := p.AppendHead(nil, packet.V5)
	if err != nil {
		fmt.Println(err)
		return
	}
	for id := range byte(2) { // one head for two receivers
		head[at], head[at+1] = 0, id+1
		fmt.Printf("% x %s\n", head, p.Payload)
	}
	// Output:
	// 32 0d 00 03 61 2f 62 00 01 00 hello
	// 32 0d 00 03 61 2f 62 00 02 00 hello
}
