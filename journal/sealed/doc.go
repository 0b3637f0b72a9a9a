// Package sealed is the format of the files that the journal keeps its history in: records of many partitions, sorted by
// partition and offset, compressed, and found through an index that is read when it is needed.
//
// A [Writer] writes a file once, from its start to its end; a [Reader] reads it. A file is never changed. What a record
// holds besides its offset and time is bytes to this package.
//
//	header      magic, format number, CRC, journal, number of the file
//	block ...   records of one partition, 64 to 128 KiB before they are compressed
//	list ...    for each partition: where its blocks are, and with which offset and time each begins
//	directory   for each partition: where its list is, its first and last offset and time, its number of records
//	footer      where the directory is, its CRC, format number, CRC, magic
//
// A Reader keeps the directory in memory, and lists in a [Cache] that is shared by all readers and bounded, so that memory
// does not grow with the number of blocks.
//
// Numbers are little-endian. Each part has a CRC-32C, which begins with the one of the header: a part of another file, or of
// another place in the same one, does not pass for the one that was asked for. Everything that is read is checked, and what
// does not match is a [DamageError], which names file and position.
package sealed
