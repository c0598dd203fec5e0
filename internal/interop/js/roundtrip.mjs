// Runs MQTT.js through every QoS, properties, retained messages, a will and a session that is resumed.
// Usage: node roundtrip.mjs URL VERSION CA; exit code 0 if everything was as it should be.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import mqtt from 'mqtt'

const [url, versionText, caFile] = process.argv.slice(2)
const version = Number(versionText)
const name = `js-${url.split(':')[0]}-${version}`
setTimeout(() => { console.error('took too long'); process.exit(3) }, 45000).unref()

function connect (id, more = {}) {
  const options = {
    clientId: id, protocolVersion: version, reconnectPeriod: 0, clean: true, ...more
  }
  if (caFile) options.ca = fs.readFileSync(caFile)
  if (version === 3) options.protocolId = 'MQIsdp'
  return mqtt.connectAsync(url, options, false)
}

// collect gathers messages and hands them out one by one.
function collect (client) {
  const got = []
  const waiting = []
  client.on('message', (topic, payload, packet) => {
    const m = { topic, text: payload.toString(), qos: packet.qos, retain: packet.retain, properties: packet.properties }
    if (waiting.length) waiting.shift()(m); else got.push(m)
  })
  return () => new Promise(resolve => got.length ? resolve(got.shift()) : waiting.push(resolve))
}

const pub = await connect(`${name}-pub`)
const keep = { clean: false, properties: version === 5 ? { sessionExpiryInterval: 600 } : undefined }
let sub = await connect(`${name}-sub`, keep)
let next = collect(sub)
await sub.subscribeAsync(`${name}/#`, { qos: 2 })

for (const qos of [0, 1, 2]) {
  const properties = version === 5
    ? { contentType: 'text/x', responseTopic: 'r', correlationData: Buffer.from([0, 1]), userProperties: { a: ['1', '2'] }, messageExpiryInterval: 900 }
    : undefined
  await pub.publishAsync(`${name}/x`, `at ${qos}`, { qos, properties })
  const m = await next()
  assert.equal(m.text, `at ${qos}`)
  assert.equal(m.qos, qos)
  assert.equal(m.retain, false)
  if (version === 5) {
    assert.equal(m.properties.contentType, 'text/x')
    assert.deepEqual([...m.properties.userProperties.a], ['1', '2'])
    assert.deepEqual([...m.properties.correlationData], [0, 1])
  }
}

await pub.publishAsync(`${name}-kept`, 'kept', { qos: 1, retain: true })
await sub.subscribeAsync(`${name}-kept`, { qos: 1 })
const kept = await next()
assert.equal(kept.text, 'kept')
assert.equal(kept.retain, true)

const dying = await connect(`${name}-dying`, { will: { topic: `${name}/will`, payload: Buffer.from('gone'), qos: 1, retain: false } })
dying.stream.destroy()
const will = await next()
assert.equal(will.text, 'gone')

await sub.endAsync()
for (let i = 0; i < 6; i++) await pub.publishAsync(`${name}/x`, `${i}`, { qos: 1 + i % 2 })
const options = { ...keep }
sub = mqtt.connect(url, { clientId: `${name}-sub`, protocolVersion: version, reconnectPeriod: 0, ...(version === 3 ? { protocolId: 'MQIsdp' } : {}), ...(caFile ? { ca: fs.readFileSync(caFile) } : {}), ...options })
next = collect(sub)
const order = { 1: [], 2: [] }
for (let i = 0; i < 6; i++) {
  const m = await next()
  order[m.qos].push(m.text)
}
assert.deepEqual(order, { 1: ['0', '2', '4'], 2: ['1', '3', '5'] })
await pub.publishAsync(`${name}-kept`, '', { qos: 1, retain: true })
await sub.endAsync()
await pub.endAsync()
console.log('good')
process.exit(0)
