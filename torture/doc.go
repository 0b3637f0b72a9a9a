// Package torture kills Stockflow, and looks at what is left. It has nothing but tests.
//
// The program runs as a process of its own with its journal and everything else on the disk, while clients place,
// cancel, dispatch and receive over HTTP, and repeat what was not answered. The process is killed with SIGKILL again
// and again: at work, while it starts, while it stops, with half of a write in the journal, while a file of it is sealed
// or prepared, with the outputs of a message in their logs and its row nowhere, with a batch on its way to a store, with an e-mail
// that was taken and not noted. Then it is started once more, left in peace until nothing is under way, and stopped; and the
// logs on the disk are held against everything that anybody was told.
//
// After each kill the journal is read from its files (logs_test.go), and must be a prefix of one order: no output without the
// message that it comes from, no row ahead of its log, nothing committed that is in no row (evidence_test.go).
//
// The audit (audit_test.go) folds each log again with the machines, and wants that
//
//   - what a log received from another is what the fold of the other sends, in that order, once repeats are dropped;
//   - the last record of each key in a table is the fold, byte for byte;
//   - at every prefix of a SKU's log its numbers add up;
//   - orders, stock, parcels and e-mails agree with each other, and nothing is pending (ledger_test.go);
//   - orders, receipts and adjustments are those that clients were told of, each once (books_test.go);
//   - HTTP has said the same of every row, and so does the program's own verification;
//   - no store was set aside;
//   - no e-mail was taken more often than once, and once more for each kill at which it was taken and not noted.
//
// A run of many kills proves nothing if they missed the moments that matter, so it counts what they fell into, from what
// the disk says after each, and is void if one of them was never met.
//
// Some things can't be had from the program as it is: that it waits in the midst of its work for who kills it, files of the journal so
// small that there is always one to be sealed, and the flaws that the audit must find. With the tag torture, engine/witness.go
// and journal/witness.go add them. Without the tag a short run still works.
//
// A journal has one owner. Where there are two, because one was stopped for longer than its session, the logs are on a Kafka: a fake one
// in a process of its own (fake_test.go), or Apache Kafka (kafka_test.go).
//
//	go test ./torture                       3 kills
//	make torture KILLS=30 [SEED=1]          as CI does it
//	make torture-flaws                      a program with a flaw is caught, for each flaw
//	make stale TIMES=20                     an instance is stopped for twice its session, and goes on
//	make disk                               a full disk
//	make soak [MINUTES=60]                  an hour under load: memory, goroutines, files and disk
//	make test-kafka [LEADERS=10 DOWN=1m]    on three brokers of Apache Kafka, which are killed, stopped and taken away too
package torture
