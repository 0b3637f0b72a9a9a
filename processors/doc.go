// Package processors says which machine reads which log. This comment is the tour of the whole program, from the
// bottom up: whoever has read it can make a first change.
//
// # What it is about
//
// A shop places orders, a warehouse receives and ships goods. What is told to Stockflow, and what its parts tell each
// other, are messages. Messages are kept in logs, for ever and in the order in which they came. Everything else is made
// from them: a table is the fold of one log, a row of it the fold of the messages that have the row's key. So a table
// that is lost is not lost, and what a row says can be proved.
//
// The words that are used everywhere:
//
//	log        an append-only topic, the only input of one machine; cut into partitions by key
//	message    a record of a log; an event when it is decoded
//	machine    a pure function (row, message) -> (row, outputs)
//	row        what a machine knows of one key; its head says which messages it has taken in
//	output     a message to another machine, with its origin: the message that caused it, and which of its outputs it is
//	refusal    why a command was not carried out: a fact with a name, not an error
//	unfit      why no rule can take a message: it becomes a dead letter
//	changelog  the topic behind a table: every row as it was written
//
// # The arrows
//
//	log                  key       group         table               sends to
//	order-events         order id  order         order-table         inventory-events, shipment-events, notification-events
//	inventory-events     SKU       inventory     inventory-table     order-events
//	shipment-events      order id  shipment      shipment-table      order-events
//	notification-events  order id  notification  notification-table  the mail sender, which is no machine
//	dead-letters         as it came
//
// Each group has one log. Two inputs would interleave differently each time they are read; one log always folds to
// the same rows. Each group runs, fails and starts again by itself.
//
// # The machines
//
// machines/order, machines/inventory and machines/shipment decide. They have the same files: message.go is the
// vocabulary and does no work, state.go is the row, apply.go hands each message to its rule, and the other files are the
// rules. They import the standard library, without a clock, a network or chance in it, for what they decide has to come
// out the same in a year. Only order knows the vocabularies of the others, which it sends to.
//
//   - An order asks for the units of each SKU in it, and is pending until all have answered. Then it is confirmed,
//     backordered or rejected, as its policy says. See order/outcome.go; order/close.go is how it is cancelled.
//   - Inventory keeps what is on hand and what is reserved, by location, and the queue of those who wait. Who holds
//     what is remembered by the orders, so that the row of a hot SKU stays as small as any: see inventory/stock.go.
//   - A shipment is scheduled, dispatched and delivered, or cancelled. It decides who wins when a cancellation and a
//     dispatch race each other.
//   - notification keeps the mails of each order: queued, sent or failed. Package mail sends them, outside of the fold.
//
// Apply never refuses to answer. A message that comes in a state that can't be is unfit; a command that can't be
// carried out is refused by one of the names in message.go.
//
// # How it is written down
//
// codecs turns events and rows into bytes and back. The schema is in codecs/*.proto, the code made from it in
// codecs/internal/wire, which nobody else sees. Whatever the bytes are, decoding returns an event or an error, and its text
// names the field. A value that begins with a brace is the same message in JSON. Equal rows are equal bytes. What the API checks is
// checked by the same functions as what comes through the log: codecs/checks.go.
//
// # How a machine runs
//
// [Order], [Inventory] and [Shipment] bind each machine to its log, its table and its codecs, and translate its
// outputs. That is an engine.Machine; an engine.Group runs it on goka. The engine is where a message has its effects
// exactly once: package engine says how, and what is true if the process dies at any point. engine/fold.go is the only way
// into a row; recovery, live processing and whatever folds a log again all come through it.
//
// broker is what the engine sees of where the logs live. Without flags that is the journal of this process, package journal:
// all topics in one order, in one sequence of files under the data directory. Inside the process what is appended is as good as
// acknowledged; everybody else sees what is on the disk. With --brokers it is a Kafka. broker.Partition is the one rule for
// which key lives where. Package move brings a journal to a Kafka. kafkaport speaks Kafka's protocol in front of the journal, for programs of others.
//
// # How it is read
//
// views keeps a copy of each table on disk, fed by the changelog, and wakes those who wait for a row. A changelog
// record says in its header "taken" which messages went into it and what became of each; so whoever has sent a command
// learns whether just this one was refused.
//
// replay folds logs again: to verify tables, to rebuild them, and, in replay/history, to look back. A history keeps the
// messages of each key together and folds those before a moment, so what was is told by what decided it.
//
// deadletters sends again what no machine could take: letters are found, judged by what would become of them now, and numbered, so
// that each counts once. The command line and the API both do it there.
//
// api is HTTP. routes.go is the list; a route is a function that reads a request, or says all that is wrong with
// it, and one that carries it out. Commands go to the log with an engine.Emitter and are answered with what a watch of the
// row tells. problem.go is the one table from what went wrong to what the client is told.
//
// replay folds the logs without any of that, to compare tables with their logs and to rebuild them.
//
// cli starts all of it, in server.go, and stops it in the reverse order.
//
// # To add an event
//
// Say that the warehouse may move units from one location to another.
//
//  1. inventory/message.go: type Move, with what its fields may be; add it to the comment of Message.Event. A refusal gets a name.
//  2. inventory/apply.go: a case in take; a function with the rule. A row must stay within its bounds.
//  3. inventory/rules_test.go: a table with one message a line and what it comes to. Run
//     go test ./machines/inventory, which takes less than a second and needs no broker. The properties in properties_test.go and the
//     naive twin in twin_test.go have to learn it too, or they won't try it.
//  4. codecs/inventory.proto: a message and a number of the oneof that was never used; make generate. Then its two
//     directions in codecs/inventory_events.go, its check in checks.go, and an example in vocabulary_test.go;
//     go test ./codecs -update adds them to testdata/golden.txt, and never changes what is there.
//  5. api: a line in routes.go and a function that reads it. A refusal needs a line in problem.go, or clients are told of
//     it only that there was one.
//
// An event that only machines send is "emitted" in codecs and must carry an origin; one that anybody may send is "written".
//
// # To change a rule
//
// Logs are kept for ever and folded again, so what was decided under a rule stays decided by it. A message carries
// the number of the rules it was written under, 1 if it has none.
//
//  1. Raise Rules in the machine's apply.go, and let Apply choose by m.Rules: the old rule stays, for the old number.
//  2. Raise codecs.Rules, and have the encoders write the number.
//  3. Programs that know only the old number stop at the first message of the new one, each partition by name, and go
//     on when they are replaced. So replace all before the first such message is written.
//
// The same goes for what is hashed or counted into rows: the fingerprint of an order, the hashes of receipts, the
// bounds in message.go.
//
// # To add a machine
//
// A directory beside the others with message.go, state.go and apply.go. Its events and rows in codecs. Its names and
// its engine.Machine in topology.go: Sends and AcceptsFrom are the arrows, and what comes from others is dead-lettered. What it
// decides in metrics.go, if it is worth counting. Its topics and its role in cli/server.go. Its table in views/tables.go, if it is to be read.
// It may not import another machine: if it has to conduct others, let the order do it.
//
// # To test
//
// A rule: one row a message in rules_test.go of its machine. A machine: the properties, with random logs. All machines
// together, thousands of orders, cancellations and dispatches in any order that the logs allow: run_test.go here, where a failure
// names the seed that repeats it. None of these has a broker, and most take milliseconds. What the engine promises is tested on a fake Kafka with
// faults, in engine/*_test.go, and each ordering is switched off once to see that something breaks. The engine with all machines, in
// memory and in one goroutine, with a crash between any two steps: engine/sim_test.go, and make sim. All processors and views on brokers
// that fail in every way they can, and on a network that does: faults_test.go here, and make faults. The whole program as
// a process that is killed: cli/*_test.go, and under load, hundreds of times and with an audit of what is left, torture/doc.go.
//
// # What always holds
//
// For each SKU, at every prefix of its log: received + adjusted = on hand + shipped, and 0 <= reserved <= on hand at each
// location. What is reserved is what open orders hold, but for messages that are under way. The head of a queue never fits into
// what is available. An order that has ended holds nothing once all its answers are in. These are checked in inventory/properties_test.go,
// order/properties_test.go and settled_test.go; the bounds of rows in codecs/rows_test.go; the layers and the
// house rules in layout_test.go.
package processors
