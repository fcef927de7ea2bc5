// Command fsck lets Tessera's own checker judge a log in the form of
// tlog-tiles: a directory with checkpoint and tile/, and the log's public key.
// It is a module of its own, so that the product does not depend on Tessera.
//
//	fsck DIRECTORY VKEY
//
// It exits 0 if the log is sound, and 1 with the reason if it is not, or if
// the checker has not come to an end in two minutes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

const patience = 2 * time.Minute

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fsck DIRECTORY VKEY")
		os.Exit(2)
	}
	done := make(chan error, 1)
	go func() { done <- check(os.Args[1], os.Args[2]) }()
	err := errors.New("no answer in time") // seen: the checker waits for ever after some errors
	select {
	case err = <-done:
	case <-time.After(patience):
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fsck:", err)
		os.Exit(1)
	}
}

func check(dir, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	files := client.FileFetcher{Root: dir}
	return fsck.New(verifier.Name(), verifier, files, leafHashes, fsck.Opts{N: 2}).Check(context.Background())
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(entries.Entries))
	for _, e := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return hashes, nil
}
