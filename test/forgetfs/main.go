// Command forgetfs mounts a file system in memory that forgets, when its power
// is cut, what was not synced: pages stay old, become new or are torn between,
// files have any size between, names that no directory sync covers are there or
// not. It obeys lines on stdin, and answers each with "ok" on stdout:
//
//	cut SEED   takes the power away: no call is answered any more
//	dead       the processes were killed: what they had called may fail
//	slow TIME  makes each sync take at least that long
//	on         gives the power back, with what survived
//
// At the end of stdin it unmounts and ends.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "forgetfs:", err)
		os.Exit(1)
	}
}

func run() error {
	takes := flag.Duration("sync", 2*time.Millisecond, "how long a sync takes at most")
	lie := flag.Bool("lie", false, "syncs do nothing, and say that they did")
	flag.Parse()
	if flag.NArg() != 1 {
		return fmt.Errorf("forgetfs [flags] DIRECTORY")
	}
	f := newForgetful(*takes, *lie)
	server, err := fuse.NewServer(f, flag.Arg(0), &fuse.MountOptions{FsName: "forgetfs", Name: "forgetfs", DirectMount: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 128 << 10})
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	fmt.Println("ok")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word, arg, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "cut":
			seed, err := strconv.ParseUint(arg, 10, 64)
			if err != nil {
				return err
			}
			f.cut(seed)
		case "slow":
			least, err := time.ParseDuration(arg)
			if err != nil {
				return err
			}
			f.slow.Store(int64(least))
		case "dead":
			f.dead()
		case "on":
			f.on()
		default:
			return fmt.Errorf("what is %q?", word)
		}
		fmt.Println("ok")
	}
	return server.Unmount()
}
