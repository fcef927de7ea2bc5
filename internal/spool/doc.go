// Package spool is the durable queue that everything stands on: Append returns
// after fsync, and a record leaves only by Release. Concurrent appends share
// one write and one fsync (group commit by a leader, no goroutine of its own), reading and looking up never
// load the backlog, and damage is fenced off and named while what is behind it is still delivered.
// docs/format/spool.md is the specification; all integers are little-endian:
//
//	<first seq>.seg    a segment: append-only, names its first record
//	+----------------+----------------+---------+---------+-- - -
//	| header    4096 | its copy  4096 | entry   | entry   |
//	+----------------+----------------+---------+---------+-- - -
//	header: "INDSEG01" | crc32c 4 | version 2 | log length 2 | nonce 8 |
//	        first seq 8 | created 8 | previous nonce 8 | previous end 8 | 0 8 | log
//
//	an entry, on a multiple of 8
//	+---------+----------+----------+------------+-------------+----------+
//	| nonce 8 | crc32c 4 | kind   4 | meta len 4 | meta crc  4 | body len 4 |
//	+---------+----------+----------+------------+-------------+----------+
//	| body crc 4 | seq 8 | time 8 | synced 8 | body id 8 | SHA-256     32 |
//	+------------+-------+--------+----------+-----------+----------------+
//	| meta: door, source, bucket, key, attributes | body | 0 to 7 zeros   |
//	+---------------------------------------------+------+----------------+
//
//	<first seq>.idx    a sealed segment's index, made anew from it when damaged
//	bodies/<id>        a long body, then the CRC32C of each 64 KiB of it
//	aside/<seq>.deferred, .quarantined, .body    set-aside copies
//	<n>.settled        what was settled above the release point, not fsynced
//	state, buckets     small files, replaced atomically
package spool
