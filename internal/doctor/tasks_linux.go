package doctor

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupRoot is where the hierarchies of control groups are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// TasksOf reads the tightest limit of a process's control groups; false if the system tells none. pid 0 is this process.
func TasksOf(pid int) (Tasks, bool) {
	self := "self"
	if pid > 0 {
		self = strconv.Itoa(pid)
	}
	groups, err := os.ReadFile("/proc/" + self + "/cgroup")
	if err != nil {
		return Tasks{}, false
	}
	return tasksIn(cgroupRoot, string(groups))
}

// tasksIn is TasksOf with the mounts below root and the text of the process's cgroup file.
func tasksIn(root, groups string) (tightest Tasks, found bool) {
	tightest.Limit = math.MaxUint64
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		mounts := []string{root, filepath.Join(root, "unified")}
		if parts[0] != "0" || parts[1] != "" {
			if parts[1] != "pids" {
				continue
			}
			mounts = []string{filepath.Join(root, "pids")}
		}
		for _, mount := range mounts {
			for at := filepath.Clean("/" + parts[2]); ; at = filepath.Dir(at) {
				if t, ok := tasksAt(filepath.Join(mount, at)); ok {
					found = true
					if t.Met > tightest.Met || t.Limit-min(t.Limit, t.Used) < tightest.Limit-min(tightest.Limit, tightest.Used) {
						tightest = t
					}
				}
				if at == "/" {
					break
				}
			}
		}
	}
	return tightest, found
}

// tasksAt reads the limit of one control group.
func tasksAt(dir string) (Tasks, bool) {
	where := filepath.Join(dir, "pids.max")
	limit, ok := number(where)
	if !ok {
		return Tasks{}, false
	}
	t := Tasks{Limit: limit, Where: where}
	t.Used, _ = number(filepath.Join(dir, "pids.current"))
	if events, err := os.ReadFile(filepath.Join(dir, "pids.events")); err == nil {
		for line := range strings.Lines(string(events)) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "max "); ok {
				t.Met, _ = strconv.ParseUint(n, 10, 64)
			}
		}
	}
	return t, true
}

// number reads a file with a number in it, or the word max.
func number(name string) (uint64, bool) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	text := strings.TrimSpace(string(b))
	if text == "max" {
		return math.MaxUint64, true
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}
