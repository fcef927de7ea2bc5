//go:build !unix

package ingest

// DefaultConns is how many connections one listener holds at a time.
func DefaultConns() int { return mostConns }
