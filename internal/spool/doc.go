// Package spool is the durable queue: Append returns after fsync, and a record
// leaves only when it was released.
package spool
