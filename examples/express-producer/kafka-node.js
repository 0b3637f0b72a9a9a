// kafka-node, in the form that many tutorials teach. It is not maintained any more, and speaks versions of the protocol
// that Kafka 4 has dropped: it takes a Kafka before 4.0. Its partitioners don't agree with Java's, and by default everything goes to
// partition 0; Stockflow moves what lies on a wrong partition, so nothing has to be set for its sake.
const kafka = require('kafka-node')

exports.connect = (brokers) =>
  new Promise((resolve, reject) => {
    const client = new kafka.KafkaClient({ kafkaHost: brokers.join(','), connectTimeout: 5000, requestTimeout: 10000 })
    // acks: 1 is the default, and loses orders when a leader is lost; -1 waits for all replicas.
    const producer = new kafka.Producer(client, { requireAcks: -1 })
    const send = ({ topic, key, value }) =>
      new Promise((sent, failed) => {
        producer.send([{ topic, key, messages: value }], (err) => (err ? failed(err) : sent()))
      })
    producer.once('ready', () => resolve({ send, close: () => new Promise((done) => client.close(done)) }))
    // The client's errors come here, too, and while Kafka is away there is one after the other: the first that nobody listens to would end the
    // shop. Once it is connected there is nothing left to reject.
    producer.on('error', (err) => {
      console.error(`kafka-node: ${err.message || err}`)
      reject(err)
    })
  })
