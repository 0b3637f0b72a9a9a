// A shop's backend: it takes orders over HTTP and sends them to Stockflow's log order-events. It never speaks to
// Stockflow itself. CLIENT=kafka-node is the old client of many tutorials, CLIENT=kafkajs the newer one.
const express = require('express')
const { randomUUID } = require('crypto')

const clients = { 'kafka-node': './kafka-node', kafkajs: './kafkajs' }
const client = process.env.CLIENT || 'kafka-node'
if (!clients[client]) {
  console.error(`CLIENT must be one of ${Object.keys(clients).join(', ')}, not ${client}`)
  process.exit(2)
}
const brokers = (process.env.KAFKA || 'localhost:9092').split(',')
const [host, port] = (process.env.HTTP || '127.0.0.1:3001').split(':')

// What Stockflow reads: the same message as its Protobuf schema, as JSON. All that it knows of an order is in it; a field that it doesn't know
// would make the order a dead letter, so no others are sent.
function placed({ order_id, customer, ship_to, policy, lines }) {
  return { placed: { order_id, customer, ship_to, policy, lines } }
}

function routes(send) {
  const app = express()
  app.use(express.json())
  app.post('/orders', async (req, res) => {
    if (!req.body) {
      return res.status(415).json({ error: 'send the order as JSON, with content-type: application/json' })
    }
    const order = { ...req.body, order_id: req.body.order_id || randomUUID() }
    try {
      await send({ topic: 'order-events', key: order.order_id, value: JSON.stringify(placed(order)) })
      // The log has it. Whether it is confirmed is for Stockflow to say: GET /v1/orders/ID there, or its table.
      res.status(202).json({ order_id: order.order_id })
    } catch (err) {
      // It may be in the log or not. Sent again with the same order_id it is the same order.
      res.status(503).json({ order_id: order.order_id, error: String(err.message || err) })
    }
  })
  return app
}

require(clients[client])
  .connect(brokers)
  .then(({ send, close }) => {
    const server = routes(send).listen(Number(port), host, () => console.log(`http http://${host}:${server.address().port}`))
    for (const signal of ['SIGINT', 'SIGTERM']) {
      process.on(signal, () => server.close(() => close().then(() => process.exit(0))))
    }
  })
  .catch((err) => {
    console.error(`Kafka at ${brokers} can't be reached: ${err.message || err}`)
    process.exit(1)
  })
