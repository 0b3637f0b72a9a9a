// Package torture kills Stockflow, and looks at what is left. It has nothing but tests.
//
// The program runs as a process of its own on its embedded broker, with everything on the disk, while clients place,
// cancel, dispatch and receive over HTTP, and repeat what was not answered. The process is killed with SIGKILL again
// and again: at work, while it starts, while it stops, with a batch on its way to a store, with an e-mail that was
// taken and not noted. Then it is started once more, left in peace until nothing is under way, and stopped; and the
// log on the disk is held against everything that anybody was told.
//
// The log is read from its files by the tests themselves (disk_test.go), so that no broker stands between it and the
// audit. The audit (audit_test.go) folds each log again with the machines, and wants that
//
//   - what a log received from another is what the fold of the other sends, in that order, once repeats are dropped;
//   - the last record of each key in a table is the fold, byte for byte;
//   - at every prefix of a SKU's log its numbers add up;
//   - orders, stock, parcels and e-mails agree with each other, and nothing is pending (ledger_test.go);
//   - orders, receipts and adjustments are those that clients were told of, each once (books_test.go);
//   - HTTP has said the same of every row;
//   - no e-mail was taken more often than once, and once more for each kill at which it was taken and not noted.
//
// A run of many kills proves nothing if they missed the moments that matter, so it counts what they fell into, from what
// the disk says after each (evidence_test.go), and is void if one of them was never met.
//
// Two things can't be had from the program as it is: whether a batch was on its way to a store, and the flaws that
// the audit must find. With the tag torture, engine/witness.go adds them. Without the tag a short run still works.
//
//	go test ./torture                       3 kills
//	make torture KILLS=30 [SEED=1]          as CI does it
//	make torture-flaws                      a program with a flaw is caught, for each flaw
//	make stale TIMES=20                     an instance is stopped for twice its session, and goes on
//	make soak [MINUTES=60]                  an hour under load: memory, goroutines, files and disk
//	make test-kafka [LEADERS=10 DOWN=1m]    on three brokers of Apache Kafka, which are killed, stopped and taken away too
package torture
