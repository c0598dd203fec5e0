// Runs u8-mqtt through what it knows: QoS 0 and 1, properties, retained messages, a will. It has no QoS 2.
// Usage: node u8.mjs URL VERSION CA; exit code 0 if everything was as it should be.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'
import { mqtt_v4, mqtt_v5 } from 'u8-mqtt/esm/node/v5.mjs'
import WebSocket from 'ws'

const [address, versionText, caFile] = process.argv.slice(2)
const url = new URL(address)
const version = Number(versionText)
const five = version === 5
const name = `u8-${url.protocol.slice(0, -1)}-${version}`
setTimeout(() => { console.error('took too long'); process.exit(3) }, 45000).unref()

// connect gives a connected client with what is needed to cut it off, and a function that waits for its next message.
async function connect (id, more = {}) {
  const got = []
  const waiting = []
  const client = (five ? mqtt_v5 : mqtt_v4)({
    log_conn () {},
    on_live () {},
    on_disconnect () {}
  })
  client.on_topic('*', packet => {
    const message = { topic: packet.topic, text: packet.utf8(), qos: packet.qos, retain: packet.retain, props: packet.props }
    if (waiting.length) waiting.shift()(message); else got.push(message)
  })
  const ca = caFile ? fs.readFileSync(caFile) : undefined
  let cut
  if (url.protocol.startsWith('ws')) {
    const socket = new WebSocket(url, ['mqtt'], { ca })
    socket.on('error', () => {})
    client.with_websock(socket)
    cut = () => socket.terminate()
  } else {
    const at = { host: url.hostname, port: Number(url.port), ca }
    const socket = url.protocol === 'tls:' ? tls.connect(at) : net.connect(at)
    client.with_stream(socket)
    cut = () => socket.destroy()
  }
  const [connack] = await client.connect({ client_id: id, flags: { clean_start: true }, ...more })
  assert.equal(Number(connack.reason), 0)
  const next = () => new Promise(resolve => got.length ? resolve(got.shift()) : waiting.push(resolve))
  return { client, cut, next, connack }
}

const pub = await connect(`${name}-pub`, { username: 'ann', password: new TextEncoder().encode('secret') })
const sub = await connect(`${name}-sub`)

// subscribe asks for QoS 0 or 1 and expects to be granted it.
async function subscribe (to, topic, qos) {
  const [suback, err] = await to.client.subscribe({ topics: [{ topic, opts: { qos } }] })
  assert.equal(err, undefined)
  assert.deepEqual(suback.answers.map(Number), [qos])
}

for (const granted of [0, 1]) {
  await subscribe(sub, `${name}/${granted}/#`, granted)
  for (const qos of [0, 1]) {
    const props = five
      ? { content_type: 'text/x', response_topic: 'r', correlation_data: new Uint8Array([0, 1]), message_expiry_interval: 900 }
      : undefined
    const topic = `${name}/${granted}/x`
    const packet = { topic, payload: `at ${qos}`, qos, props }
    if (qos) {
      const [puback, err] = await pub.client.pub(packet)
      assert.equal(err, undefined)
      assert.equal(puback.type, 'puback')
    } else {
      await pub.client._send('publish', packet) // pub stumbles over QoS 0 in 0.6.7
    }
    const m = await sub.next()
    assert.equal(m.topic, topic)
    assert.equal(m.text, `at ${qos}`)
    assert.equal(m.qos, Math.min(qos, granted))
    assert.ok(!m.retain)
    if (five) {
      assert.equal(m.props.content_type, 'text/x')
      assert.equal(m.props.response_topic, 'r')
      assert.deepEqual([...m.props.correlation_data], [0, 1])
      assert.ok(m.props.message_expiry_interval > 0 && m.props.message_expiry_interval <= 900)
    }
  }
}

await pub.client.store(`${name}-kept`, 'kept')
await subscribe(sub, `${name}-kept`, 1)
const kept = await sub.next()
assert.equal(kept.text, 'kept')
assert.ok(kept.retain)
await pub.client.store(`${name}-kept`, '')
assert.equal((await sub.next()).text, '')

await subscribe(sub, `${name}/will`, 1)
const will = { topic: `${name}/will`, payload: new TextEncoder().encode('gone'), qos: 1, retain: false }
if (five) will.props = { content_type: 'text/will' }
const polite = await connect(`${name}-polite`, { will: { ...will, payload: new TextEncoder().encode('said goodbye') } })
await polite.client.disconnect()
const dying = await connect(`${name}-dying`, { will })
dying.cut()
const last = await sub.next()
assert.equal(last.text, 'gone')
assert.equal(last.qos, 1)
if (five) assert.equal(last.props.content_type, 'text/will')

const [unsuback] = await sub.client.unsubscribe([`${name}/0/#`, `${name}/1/#`])
assert.ok(unsuback)
await pub.client.send(`${name}/1/x`, 'unheard')
await pub.client.send(`${name}/will`, 'heard')
assert.equal((await sub.next()).text, 'heard')
await pub.client.disconnect()
await sub.client.disconnect()
console.log('good')
process.exit(0)
