// Package engine runs a machine on goka so that every message has its effects exactly once.
//
// A machine is a pure function: a row and a message give a row and outputs. goka delivers the messages of one log,
// at least once, and keeps the rows of one table. What goka does by itself is not enough: it commits an offset that
// is acknowledged past an earlier one that is not, its store on disk runs ahead of the changelog, and a failure
// while it stops is committed. The engine puts its own parts in goka's places (producer, store, session, callback) and keeps
// four rules with them.
//
// # The rules
//
//  1. Outputs, then row. The changelog record of a row is sent when every output emitted before it in its
//     partition is acknowledged. (worker.go: hold, take)
//  2. Row, then store. The store on disk takes a row when the changelog has acknowledged it, with the offset in the same
//     atomic batch. Newer rows wait in memory. (store.go: Acknowledged, flush)
//  3. All of it, then the offset. An input offset is marked when its message, and each one delivered before it in its
//     partition, is done: outputs and row acknowledged, or nothing to do. (prefix.go, session.go)
//  4. Who has seen what. A row's head carries applied, the offset of the last message of its log that it took in, and seen,
//     the highest origin from each partition that messages were sent from. An output carries its origin: log, partition, offset and
//     its index among the outputs of that message. A message at or below applied, or with an origin at or below seen,
//     changes nothing and sends nothing. Every other one writes its row, whatever it comes to. (fold.go: Has, Fold)
//     A dead letter that is sent again has an id of its own instead, and the head the last hundred of those. (redrive.go)
//
// # What is true if we die here
//
// Before the outputs are acknowledged: some of them may be in their logs, in order and without a hole for each
// partition, for the producer is idempotent and sends nothing after its first error. The row is in no log and on no disk. The
// message comes again, meets the same row, and sends the same outputs with the same origins, as a machine knows nothing but the
// message and the row. Those that had arrived are dropped where they arrive: their origin is at or below seen.
//
// After the outputs and before the row's record: the same; all of the outputs are repeats.
//
// After the row's record and before the store: the store is a shorter prefix of the changelog. The next owner reads the
// rest. The message comes again and is dropped, being at or below applied; what it had to send has been sent, by rule 1.
//
// After the store and before the offset: the same, with less to read.
//
// With the disk lost: the store is empty, which is a prefix of the changelog too.
//
// A dead letter is an output without a row, so it can come twice; both have the same ce_id. So can a
// message that is moved to its own partition, and there its origin makes it one.
//
// # Why a repeat is the same
//
// The time of a message is its log's, so Apply asks no clock. Equal rows are equal bytes. A row that waits may be replaced
// by a newer one of its key: the newer one's acknowledgement counts for both, which is right because it took in what the older one did.
//
// # Two owners
//
// A process that slept longer than its session allows may wake and write an older row behind its successor's newer
// one. Readers and owners take the row that is newer by its head. An owner's own records follow each other in the
// changelog, so a gap, or an end that moved while nothing was under way, is somebody else's: it is read, and where ours is
// newer, ours is written again. Where theirs is newer it becomes ours; as an older one of ours may lie behind it, or be on its
// way there, it is written again too. Until that is acknowledged the offset on disk is pinned, so that whoever starts from the disk
// meets the record again. (repair.go, recovery.go)
//
// # On the journal
//
// The journal of this process is in one order, and what survives of it is a prefix. So an entry is acknowledged when it is
// appended: rules 1 and 3 hold by the order in which outputs, row and commit are appended, and nothing waits. Only rule 2 looks at
// the disk: a store flushes what is durable in the journal (store.go: sync). There is one owner, and no foreign record.
//
// # How it is tried
//
// Nothing of the protocol starts a goroutine, asks a clock or knows goka but its shell, so that a test can take the shell's
// place: sim_test.go runs all machines on it by hand, in one goroutine, from a seed, with crashes between any two steps,
// lost disks and lost suffixes of logs, stale owners and records of the dead, and holds every record against a fold
// of the logs alone. Each rule is switched off there once, to see that it is missed. flaws.go lists what can be.
//
// On the journal everything is real: power_test.go runs the groups on goka, with their stores, on a disk whose power goes, and holds what
// is found after each start against the same folds.
//
// # What stops a partition
//
// A message that was written under rules this program does not know, a machine that panics, a row that does not decode, and a
// batch that the broker's client can't read: the partition halts there, says so in the log, in the readiness and in a metric, and
// nothing behind that message is processed, for a row that took in a later message would seem to have taken in this one.
// The other partitions go on. A message that merely makes no sense becomes a dead letter, and stops nothing; one that is too large
// for that becomes one with its beginning, its size and its hash.
//
// Somebody may ask for such a message to be skipped, by a request in the dead letters. The owner of the partition carries it out
// once it has stopped at just that message: it writes a letter that says so, and goes on. Whoever folds the log later, live or
// not, goes by the letter, and leaves the message out, even if it could take it by then. (skips.go)
//
// What ends the processor of a group (the broker, a store that can't be written) makes a new one, after a while,
// that starts from what is durable. Only [broker.ErrCut] and [broker.ErrFenced] end a [Group] for good: on logs that are shorter than what was taken from
// them, applied and seen would be lies.
//
// # Who owns what
//
// A [Group] owns its instances, one after the other. An instance owns its workers, one for each partition while it is this
// process's. A worker owns its rows until they are acknowledged, its [Store] from then on. goka's goroutine of a
// partition folds; the client's goroutines acknowledge; the worker's own sends the rows that waited, because a promise
// of the client that sends would block the client.
package engine
