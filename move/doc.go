// Package move brings a journal to a Kafka, offset for offset, so that everything that rows, letters and groups say of
// offsets stays true there.
//
// A move is a sequence of steps, each of which may be the last that a process lives to see. It is then run again, from the
// beginning: what is there is held against the journal, and gone on from.
//
//  1. A record in the topic [Topic] says that a move has begun. From here on no Stockflow starts on this Kafka.
//  2. The topics are made, such that records keep their times.
//  3. Logs and dead letters are copied record by record, and of each table the newest row of every key.
//  4. What the groups have committed is committed there. A group that has committed something has all that it covers.
//  5. All of it is read back and compared: offsets, times, keys, values and headers.
//  6. The data directory is marked ([Move.Leave]). From here on no Stockflow starts on the journal, so it grows no more.
//  7. The topics get the broker's time, as they have it everywhere else.
//  8. A record in [Topic] says that the move is finished. From here on a Stockflow may start on this Kafka.
//
// Between 6 and 8 there is none that may start anywhere, and never are there two. Up to 6 the journal may be used again as if nothing
// had been; a move that is run later copies what has come to it since.
//
// What is not of the journal is never written over: a record, row or offset on Kafka that the journal doesn't have ends the
// move with its name.
package move
