"""Runs paho-mqtt through every QoS, retained messages, a will, a session that is resumed, and what MQTT 5.0 adds.

Usage: roundtrip.py TRANSPORT HOST PORT VERSION CA; it says "good" and exits with 0 if everything was as it should be.
TRANSPORT is tcp, tls, ws or wss, VERSION the protocol level (3, 4 or 5), CA a file, or "" without TLS.
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 20  # seconds that an answer may take

transport, host, port, version, ca = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
name = f"py-{transport}-{version}"


def check(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def properties(packet_type, **values):
    """properties makes the properties of a packet, none before 5.0."""
    if version < 5:
        return None
    p = Properties(packet_type)
    for key, value in values.items():
        setattr(p, key, value)
    return p


class Peer:
    """Peer is a connected client whose callbacks put what they are told into queues."""

    def __init__(self, client_id, clean=True, expiry=0, will=None, will_properties=None):
        web = transport in ("ws", "wss")
        self.messages, self.answers = queue.Queue(), queue.Queue()
        self.client = mqtt.Client(
            client_id, clean_session=clean if version < 5 else None, protocol=version,
            transport="websockets" if web else "tcp",
        )
        c = self.client
        if web:
            c.ws_set_options(path="/mqtt")
        if transport in ("tls", "wss"):
            c.tls_set(ca_certs=ca)
        c.username_pw_set("ann", "secret")
        if will is not None:
            c.will_set(*will, properties=will_properties)
        c.on_connect = lambda _c, _u, flags, code, props=None: self.answers.put((int(getattr(code, "value", code)), flags, props))
        c.on_disconnect = lambda _c, _u, code, *_: self.answers.put(("disconnected", code))
        c.on_subscribe = lambda _c, _u, _mid, codes, *_: self.answers.put([int(getattr(x, "value", x)) for x in codes])
        c.on_unsubscribe = lambda *got: self.answers.put([got[4].value if version == 5 and not isinstance(got[4], list) else got[4:]])
        c.on_message = lambda _c, _u, m: self.messages.put(m)
        if version == 5:
            c.connect(host, port, clean_start=clean, properties=properties(PacketTypes.CONNECT, SessionExpiryInterval=expiry))
        else:
            c.connect(host, port)
        c.loop_start()
        code, flags, self.connack = self.answer()
        check("connect", code, 0)
        self.session_present = flags["session present"]

    def answer(self):
        return self.answers.get(timeout=PATIENCE)

    def next(self):
        return self.messages.get(timeout=PATIENCE)

    def expect(self, topic, payload, qos, retain=False):
        m = self.next()
        check("message", (m.topic, m.payload, m.qos, bool(m.retain)), (topic, payload, qos, retain))
        return m

    def expect_none(self, what):
        check(what, self.messages.qsize(), 0)

    def subscribe(self, topic, qos):
        check("subscribe", self.client.subscribe(topic, qos)[0], 0)
        check("suback", self.answer(), [qos])

    def subscribe_with(self, topic, identifier=None, **options):
        p = properties(PacketTypes.SUBSCRIBE)
        if identifier:
            p.SubscriptionIdentifier = identifier
        check("subscribe", self.client.subscribe(topic, options=SubscribeOptions(**options), properties=p)[0], 0)
        check("suback", self.answer(), [options.get("qos", 0)])

    def unsubscribe(self, topic):
        check("unsubscribe", self.client.unsubscribe(topic)[0], 0)
        return self.answer()

    def publish(self, topic, payload, qos, retain=False, **props):
        p = properties(PacketTypes.PUBLISH, **props) if props else None
        info = self.client.publish(topic, payload, qos, retain, properties=p)
        info.wait_for_publish(PATIENCE)
        check("published", info.is_published(), True)

    def end(self):
        self.client.disconnect()
        check("end", self.answer(), ("disconnected", 0))
        self.client.loop_stop()

    def kill(self):
        """kill closes the connection without a DISCONNECT."""
        self.client.on_disconnect = None
        self.client._reconnect_on_failure = False
        self.client.socket().close()


def every_qos(pub, sub):
    for sent in range(3):
        for granted in range(3):
            topic = f"{name}/{sent}{granted}"
            sub.subscribe(topic, granted)
            pub.publish(topic, f"{sent} {granted}", sent)
            sub.expect(topic, f"{sent} {granted}".encode(), min(sent, granted))
            sub.unsubscribe(topic)
    big = bytes(range(256)) * 1024
    sub.subscribe(f"{name}/big", 2)
    pub.publish(f"{name}/big", big, 2)
    sub.expect(f"{name}/big", big, 2)
    sub.unsubscribe(f"{name}/big")


def retained(pub, sub):
    topic = f"{name}/kept"
    pub.publish(topic, "first", 1, retain=True)
    pub.publish(topic, "second", 2, retain=True)
    sub.subscribe(topic, 1)
    sub.expect(topic, b"second", 1, retain=True)
    pub.publish(topic, "third", 1, retain=True)
    sub.expect(topic, b"third", 1, retain=False)
    sub.unsubscribe(topic)
    pub.publish(topic, b"", 1, retain=True)
    sub.subscribe(topic, 1)
    pub.publish(topic, "live", 1)
    sub.expect(topic, b"live", 1, retain=False)
    sub.unsubscribe(topic)


def will(sub):
    topic = f"{name}/will"
    sub.subscribe(topic, 2)
    told = properties(PacketTypes.WILLMESSAGE, ContentType="text/will", UserProperty=[("k", "v"), ("k", "w")])
    dying = Peer(f"{name}-dying", will=(topic, "was killed", 2, False), will_properties=told)
    dying.kill()
    m = sub.expect(topic, b"was killed", 2)
    if version == 5:
        check("will's type", m.properties.ContentType, "text/will")
        check("will's user properties", m.properties.UserProperty, [("k", "v"), ("k", "w")])
    # whoever says goodbye leaves no will: the next message is another one's
    Peer(f"{name}-polite", will=(topic, "said goodbye", 2, False), will_properties=told).end()
    Peer(f"{name}-dying", will=(topic, "again", 1, False)).kill()
    sub.expect(topic, b"again", 1)
    sub.unsubscribe(topic)


def resume(pub):
    topic = f"{name}/away"
    sleeper = Peer(f"{name}-sleeper", clean=False, expiry=600)
    check("a new session", sleeper.session_present, 0)
    sleeper.subscribe(topic, 2)
    sleeper.end()
    for i in range(8):
        pub.publish(topic, str(i), 1 + i % 2)
    sleeper = Peer(f"{name}-sleeper", clean=False, expiry=600)
    check("session present", sleeper.session_present, 0 if version == 3 else 1)
    got = [sleeper.next() for _ in range(8)]
    for qos, want in ((1, [b"0", b"2", b"4", b"6"]), (2, [b"1", b"3", b"5", b"7"])):
        check(f"queued at {qos}", [m.payload for m in got if m.qos == qos], want)
    sleeper.end()
    sleeper = Peer(f"{name}-sleeper", clean=True)
    check("after a clean start", sleeper.session_present, 0)
    sleeper.subscribe(f"{name}/awake", 1)
    pub.publish(topic, "to nobody", 1)
    pub.publish(f"{name}/awake", "the first", 1)
    sleeper.expect(f"{name}/awake", b"the first", 1)
    sleeper.end()


def message_properties(pub, sub):
    topic = f"{name}/props"
    sub.subscribe_with(topic, identifier=7, qos=2)
    values = {
        "PayloadFormatIndicator": 1, "ContentType": "text/x", "ResponseTopic": "answer/here",
        "CorrelationData": b"\x00\x01\xff", "UserProperty": [("a", "1"), ("a", "2"), ("", "é")],
    }
    for qos in range(3):
        pub.publish(topic, "body", qos, MessageExpiryInterval=900, **values)
        got = sub.expect(topic, b"body", qos).properties
        for key, want in values.items():
            check(key, getattr(got, key), want)
        check("Subscription Identifier", got.SubscriptionIdentifier, [7])
        if not 800 < got.MessageExpiryInterval <= 900:
            raise AssertionError(f"Message Expiry Interval {got.MessageExpiryInterval}")
    check("unsubscribe", sub.unsubscribe(topic), [0])
    check("unsubscribe again", sub.unsubscribe(topic), [17])


def options(pub, sub):
    topic = f"{name}/options"
    pub.publish(topic, "old", 1, retain=True)
    sub.subscribe_with(topic, qos=1, retainHandling=2, retainAsPublished=True, noLocal=True)
    sub.publish(topic, "own", 1)
    pub.publish(topic, "new", 1, retain=True)
    sub.expect(topic, b"new", 1, retain=True)
    sub.subscribe_with(topic, qos=1, retainHandling=1)
    sub.subscribe_with(topic, qos=1, retainHandling=0)
    sub.expect(topic, b"new", 1, retain=True)
    sub.unsubscribe(topic)
    pub.publish(topic, b"", 1, retain=True)


def aliases(pub, sub):
    if not getattr(pub.connack, "TopicAliasMaximum", 0):
        raise AssertionError("the broker takes no Topic Alias")
    topic = f"{name}/alias"
    sub.subscribe(topic, 1)
    pub.publish(topic, "named", 1, TopicAlias=1)
    sub.expect(topic, b"named", 1)
    pub.publish("", "by alias", 1, TopicAlias=1)
    sub.expect(topic, b"by alias", 1)
    sub.unsubscribe(topic)


def assigned():
    nameless = Peer("")
    if not nameless.connack.AssignedClientIdentifier:
        raise AssertionError("no Assigned Client Identifier")
    nameless.end()


pub, sub = Peer(f"{name}-pub"), Peer(f"{name}-sub")
every_qos(pub, sub)
retained(pub, sub)
will(sub)
resume(pub)
if version == 5:
    message_properties(pub, sub)
    options(pub, sub)
    aliases(pub, sub)
    assigned()
sub.expect_none("at the end")
pub.end()
sub.end()
print("good")
