// See README.md in the directory above.
const readline = require('node:readline')
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

const [what, address, ...rest] = process.argv.slice(2)
const kafka = new Kafka({
  clientId: 'kafkajs',
  brokers: [address],
  logLevel: logLevel.ERROR,
  retry: { initialRetryTime: 50, retries: 30, maxRetryTime: 1000 },
})

async function produce(topic, codec) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  await producer.connect()
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await producer.send({ topic, compression: CompressionTypes[codec.toUpperCase()], messages: [{ key: line, value: line }] })
  }
  await producer.disconnect()
}

async function consume(groupId, topic) {
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 200, allowAutoTopicCreation: false, retry: { initialRetryTime: 50, retries: 100, maxRetryTime: 500 } })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => console.log(message.value.toString()) })
  await new Promise((resolve) => process.stdin.resume().on('end', resolve))
  await consumer.disconnect()
}

const steps = { produce, consume }
steps[what](...rest).then(() => process.exit(0), (error) => {
  console.error(error)
  process.exit(1)
})
