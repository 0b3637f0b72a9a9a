// Package history keeps what it takes to look back: which messages concerned a key, and how its row stood now and then.
//
// There are annals for each partition of each log, in a goleveldb of their own. A follower reads the logs and writes into
// them, for each message with a key, the message itself under key and offset. It folds nothing meanwhile, but when a key
// has 64 messages since its last snapshot: then they are folded and the row is kept as the next snapshot. To look back
// is to begin at the snapshot before and fold at most 64 messages from one range of the disk, however hot the key or old the
// log, and no broker is asked for a record. Where a message landed that another has sent is found by its origin: among the first 64
// of its key by reading them, and behind those by an index. What became of a message, what it changed and sent, is the fold's to say:
// none of it is written down, so that nothing can contradict it.
//
// The follower lets records gather for a tenth of a second, as many are written almost as fast as few. Whoever waits for
// what is not written yet ends that.
//
// Annals are the log in another order, and can be made again from it. They change in atomic batches with the offset up to
// which they have the log. So who dies anywhere has a shorter history, which goes on where it ends; annals that are
// damaged are set aside and begun anew, and so are those of a topic that was deleted and made again.
//
// # A forged origin, and a skipped message
//
// One decision can't be made again later: that an origin lay beyond the end of its log, for the log has grown since. Another was
// never the program's: that a message was skipped. The dead letters say of which messages they were made, so the follower reads
// them too. A letter that comes when its message
// is in a snapshot already has the snapshots from there on made anew. Until it has come, some milliseconds behind the message,
// such a message seems to have been taken.
package history
