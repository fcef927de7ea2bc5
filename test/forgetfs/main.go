// Command forgetfs mounts a file system in memory that forgets, when its power
// is cut, what was not synced: pages stay old, become new or are torn between,
// files have any size between, names that no directory sync covers are there or
// not. It obeys lines on stdin, and answers each with "ok" on stdout:
//
//	cut SEED   takes the power away: no call is answered any more
//	dead       the processes were killed: what they had called may fail
//	slow TIME  makes each sync take at least that long
//	on         gives the power back, with what survived
//	reads WHAT opens, reads and lists in directories named "spool" and below them fail with
//	           WHAT (EIO, ESTALE, ETIMEDOUT), or take that long (500ms); "reads ok" ends it
//	full WHAT  there is not one byte free: whatever needs room fails with WHAT (ENOSPC,
//	           EDQUOT); "full ok" ends it
//
// A process that is killed while it syncs has not synced: what it had written is there for
// the next process, and lost in a power cut.
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
	"syscall"
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
	mmap := flag.Bool("mmap", false, "files can be mapped into memory")
	flag.Parse()
	if flag.NArg() != 1 {
		return fmt.Errorf("forgetfs [flags] DIRECTORY")
	}
	f := newForgetful(*takes, *lie)
	options := fuse.MountOptions{FsName: "forgetfs", Name: "forgetfs", DirectMount: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 128 << 10}
	if *mmap {
		options.ExtraCapabilities = fuse.CAP_DIRECT_IO_ALLOW_MMAP
	}
	server, err := fuse.NewServer(f, flag.Arg(0), &options)
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
		case "reads":
			err, takes, e := trouble(arg)
			if e != nil {
				return e
			}
			f.setReads(err, takes)
		case "full":
			err, _, e := trouble(arg)
			if e != nil {
				return e
			}
			f.setFull(err)
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

// errnos are the errors that lines can name.
var errnos = map[string]syscall.Errno{
	"ok": 0, "EIO": syscall.EIO, "ESTALE": syscall.ESTALE, "ETIMEDOUT": syscall.ETIMEDOUT, "ENOSPC": syscall.ENOSPC, "EDQUOT": syscall.EDQUOT,
}

// trouble is an error or a time that a line names.
func trouble(word string) (syscall.Errno, time.Duration, error) {
	if err, ok := errnos[word]; ok {
		return err, 0, nil
	}
	takes, err := time.ParseDuration(word)
	return 0, takes, err
}
