// kafkajs. Its default partitioner is Java's, so an order is on the partition that it belongs to.
const { Kafka, Partitioners, logLevel } = require('kafkajs')

exports.connect = async (brokers) => {
  const kafka = new Kafka({ clientId: 'express-producer', brokers, logLevel: logLevel.WARN })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false })
  await producer.connect()
  const send = ({ topic, key, value }) => producer.send({ topic, acks: -1, messages: [{ key, value }] })
  return { send, close: () => producer.disconnect() }
}
