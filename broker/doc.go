// Package broker is where the logs live: the broker that Stockflow carries inside itself, the connections to it
// or to any other Kafka, and the topics that have to exist there.
//
// [OpenEmbedded] starts a broker on a directory. Once a produce is acknowledged it survives kill -9, its time is
// the broker's and never goes backwards, and nothing is ever trimmed or compacted.
//
// [Connection] makes clients, with the settings that the engine and the views count on.
//
// [Ensure] creates the topics, or says what is wrong with those that exist. [CheckIdentity] says whether they are
// still the topics that the tables on this machine were folded from.
//
// [Partition] is the one rule for which key lives where.
package broker
