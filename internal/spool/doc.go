// Package spool is the durable queue that everything stands on: Append returns
// after fsync, and a record leaves only by Release. One write loop numbers records and shares one
// fsync among those that wait; reading and looking up never load the backlog. Bytes that arrive wrong become a
// named gap; a read that fails is tried again and says nothing about the record.
// docs/format/spool.md is the specification; all integers are little-endian:
//
//	<first seq>.seg    a segment: allocated as a whole, named by its first record
//	+----------------+----------------+---------+---------+-------+---------+-- - -
//	| header    4096 | its copy  4096 | entry   | entry   | frame | entry   |
//	+----------------+----------------+---------+---------+-------+---------+-- - -
//	                                   \______ a batch _______/
//	header: "INDSEG02" | crc32c 4 | version 2 | log length 2 | nonce 8 |
//	        first seq 8 | created 8 | previous nonce 8 | previous end 8 | 0 8 | log
//
//	an entry, on a multiple of 8; a commit frame is such a header alone
//	+---------+----------+----------+------------+-------------+----------+
//	| nonce 8 | crc32c 4 | kind   4 | meta len 4 | meta crc  4 | body len 4 |
//	+---------+----------+----------+------------+-------------+----------+
//	| body crc 4 | seq 8 | time 8 | synced 8 | body id 8 | SHA-256     32 |
//	+------------+-------+--------+----------+-----------+----------------+
//	| meta: door, source, bucket, key, attributes | body | 0 to 7 zeros   |
//	+---------------------------------------------+------+----------------+
//
//	<n>.spare          a segment file that is ready to be used, or used again
//	<first seq>.idx    a sealed segment's index, rebuilt from it when damaged
//	bodies/<id>        a long body, then the CRC32C of each 64 KiB of it
//	parked/<seq>.deferred, .quarantined, .body    copies of what was parked
//	<n>.settled        what was settled above the release point, not fsynced
//	state              two slots written in turn; acked: the high-water mark
//	gaps, buckets, ballast    small files
package spool
