// Package index is the local index of a log: a SQLite file that tells where each
// key and each id lies, and answers filters and sums. It holds nothing that the log does not
// hold. It follows the log from its own durable position, so that whatever a crash,
// a full disk or a damaged file takes from it is made again from the records.
package index
