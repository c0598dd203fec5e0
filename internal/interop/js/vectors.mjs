// Prints the test cases of mqtt-packet as JSON lines, one for each case:
//   name     the case's name, with a number if the name is not the only one
//   kind     parse (bytes and what they mean), generate (a packet and its bytes), error (bytes that are to be refused)
//            or refuse (a packet that is not to be written)
//   version  the protocol level of the connection
//   hex      the bytes, but for refuse
//   zeros    the length of a payload too long to print, which is of zeros and left out of hex and fields
//   fields   the packet in mqtt-packet's terms, but for error; of what is not text the values are in hex
// The package's test file runs with the functions that take its cases replaced by ones that note them down.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const file = require.resolve('mqtt-packet/test.js')
const requireThere = createRequire(file)
const binary = new Set(['payload', 'password', 'correlationData', 'authenticationData'])
const lines = []
const names = new Map()

// plain is a value of a packet as JSON can show it.
function plain (value, key) {
  if (typeof value === 'string' || Buffer.isBuffer(value)) {
    return binary.has(key) ? Buffer.from(value).toString('hex') : value.toString()
  }
  if (Array.isArray(value)) return value.map(v => plain(v, key))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v, k)]))
}

function note (kind, name, fields, bytes, options) {
  const count = (names.get(name) ?? 0) + 1
  names.set(name, count)
  const line = { name: count > 1 ? `${name} ${count}` : name, kind, version: options?.protocolVersion ?? fields?.protocolVersion ?? 4 }
  const long = fields?.payload?.length > 1e6
  if (bytes) {
    const head = long ? bytes.subarray(0, bytes.length - fields.payload.length) : bytes
    line.hex = head.toString('hex')
  }
  if (fields) {
    // it is of zeros if it begins with one and every byte is as the one before it
    if (long && (fields.payload[0] !== 0 || fields.payload.compare(fields.payload, 1, undefined, 0, fields.payload.length - 1) !== 0)) {
      throw new Error(`${name}: a long payload that is not of zeros`)
    }
    line.fields = plain(long ? { ...fields, payload: '' } : fields)
    if (long) line.zeros = fields.payload.length
  }
  lines.push(JSON.stringify(line))
}

const takers = {
  testParseGenerate: (name, fields, bytes, options) => {
    note('parse', name, fields, bytes, options)
    note('generate', name + ', generated', fields, bytes, options)
  },
  testParseAndGenerate: (...args) => takers.testParseGenerate(...args),
  testParseOnly: (name, fields, bytes, options) => note('parse', name, fields, bytes, options),
  testGenerateOnly: (name, fields, bytes, options) => note('generate', name, fields, bytes, options),
  testParseGenerateDefaults: (name, fields, bytes, parsed, options) => {
    note('parse', name, parsed, bytes, options)
    note('generate', name + ', generated', fields, bytes, options)
  },
  testParseError: (name, bytes, options) => note('error', name, undefined, bytes, options),
  testGenerateError: (name, fields, options, more) => note('refuse', more ?? name, fields, undefined, options),
  testGenerateErrorMultipleCmds: (cmds, name, fields, options) => {
    for (const cmd of cmds) note('refuse', `${name} on ${cmd}`, { ...fields, cmd }, undefined, options)
  }
}

// of two functions of one name the later counts
const replaced = Object.keys(takers).map(name => `function ${name} (...args) { __takers.${name}(...args) }`).join('\n')
const load = name => name === 'tape' ? () => {} : requireThere(name)
new Function('require', '__takers', fs.readFileSync(file, 'utf8') + '\n' + replaced)(load, takers) // eslint-disable-line no-new-func
// not all may fit the pipe at once, so nothing ends the process early
process.stdout.write(lines.join('\n') + '\n')
