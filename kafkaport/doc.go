// Package kafkaport speaks Kafka's protocol in front of a journal, for programs of others: they produce to the logs, read
// logs and tables, and have groups of their own.
//
// # What clients are promised
//
// Everything is read and answered at the journal's Durable horizon. A record, a commit or a producer id that was acknowledged
// survives kill -9 and a power cut; a record that was read does too. A producer's retry over either of them is a retry, as
// the journal remembers the last sequences of each producer id.
//
// There is one broker, which leads every partition, in epoch 0. Timestamps are LogAppendTime. Batches go out uncompressed, as
// every client reads those.
//
// # What it refuses
//
// Topics aren't made, deleted or changed; records aren't deleted; there are no transactions. Such requests aren't
// advertised, and end their connection, as they do at a Kafka that has them switched off. Topics that aren't in
// [Config.Writable] may be read only. The groups in [Config.Groups] can't be joined or committed to, but their commits may be
// read. Only loopback is listened on, as nobody has to log in.
//
// # Its parts
//
// server.go listens, connection.go reads requests and writes answers, kinds.go lists the requests that are answered. Each
// request is walked along its layout (layout.go) before it is decoded. produce.go and batch.go go in, fetch.go goes out,
// groups has the coordinator, commits.go keeps what it doesn't: commits are entries of the journal. failures.go is the one
// table from the journal's errors to Kafka's.
//
// # Bounds
//
// [Limits] has them: connections, bytes of requests and of answers over all connections, and what a batch may decompress to.
// Who exceeds one of a request is refused; who finds the shared ones used up waits.
package kafkaport
