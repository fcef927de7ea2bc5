// Package engine keeps one audit log: it opens spool, store, upload and proof,
// wires them, and starts and stops them in order. The daemon puts doors in
// front of it, the Go library an API; both are thin users.
//
//	             Append                Entries, Settle, Release
//	callers ───────────────▶ spool ◀────────────────────────────── uploader ──▶ store
//	   │                       ▲                                       │          ▲
//	   └── Find, List ──▶ query ┴── Get, List ──▶ store                 ▼          │
//	                                                     Add, Checkpoint: ledger ─┘
//
// Open:  lock, log name, spool, destination, key. Nothing runs and nothing is written to the destination yet.
// Match: the log in the destination is opened and compared with what this directory knows.
// Run:   the uploader and the log's heartbeat, until ctx ends. The uploader delivers nothing before Match has succeeded.
// Drain: waits until everything durable is stored and proven.
// Stop:  ends Run, then writes the leaf of a clean stop and the last checkpoint.
// Close: ends Run; then, in the opposite order of Open: destination, spool, lock.
//
// Users call Open, Match, Run, and at the end Drain, Stop, Close. A process
// that is killed between any two of them loses nothing that was acknowledged.
package engine
