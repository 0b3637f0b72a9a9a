// Package journal keeps the logs of one process on its disk: all topics and partitions in one order, in one sequence of
// files.
//
// # One order, two horizons
//
// Records, committed offsets and topics are entries. Each has a [Position] in one order over all partitions. Whatever
// a crash of the process or of the power leaves is a prefix of that order, so nothing is ever there without what was
// appended before it.
//
// An entry is appended first and durable a little later. What reads at [Appended] sees entries that a power cut may
// still undo; only this process may build on those, and only for what lies behind them in the order. What reads at
// [Durable] sees what has been synced. Whatever is told to somebody outside has to be durable.
//
// # How it becomes durable
//
// One goroutine writes. While no write is under way, an append starts one at once; what is appended meanwhile is the
// next write, for all who wait. A write is one frame, with one checksum, so of one Append all or nothing survives.
//
// An error of writing or syncing ends the journal: nothing becomes durable after it, [Journal.Done] is closed, and only
// a new Open finds out what the disk has. Errors of background work are tried again and shown in [Stats].
//
// # What becomes of it later
//
// What is appended goes to tail files, in its order. A full one is rewritten in the background, by partition and
// compressed, as sealed files: see package sealed. The manifest names the files that count. It is replaced in one step,
// so whoever dies before has the old files, and whoever dies behind it the new ones.
//
// Sealed files are merged, so that there are few. Logs are kept for ever. Of a table's rows with the same key the older
// ones go once they are a day old and every [Cursor] of this process has passed them; the last record of a partition
// stays.
//
// A damaged sealed file doesn't keep the journal from being opened. Reading what is in it fails with a [DamageError], and
// [Journal.Health] says so from then on. [Journal.Verify] looks for damage.
//
// [Backup] copies a journal while it is written, and each time only what is new; [Restore] makes a journal of a copy.
package journal
