package doctor

import (
	"fmt"
	"math"
)

// Tasks says how many threads and processes the operating system lets a process have.
type Tasks struct {
	Limit uint64 // math.MaxUint64: none
	Used  uint64 // of it, also by others under the same limit
	Met   uint64 // how often something under the limit was refused a thread or a process
	Where string // the file with the limit
}

// fewTasks are less than serve may need under load: each call to a disk that does not answer at once holds a thread.
const fewTasks = 128

// TasksRemedy is what to do about a limit that is too low.
const TasksRemedy = "raise the limit: TasksMax= of the unit, --pids-limit of the container, podPidsLimit of the kubelet"

// Scarce says what is wrong with the limit; "" if nothing is.
func (t Tasks) Scarce() string {
	left := t.Limit - min(t.Limit, t.Used)
	switch {
	case t.Limit == math.MaxUint64:
		return ""
	case t.Met > 0:
		return fmt.Sprintf("the limit of %d threads and processes (%s) was met %d times: whoever meets it ends with \"failed to create new OS thread\", or cannot start another program", t.Limit, t.Where, t.Met)
	case left < fewTasks:
		return fmt.Sprintf("%d of %d threads and processes are left (%s): under load a process may need more, and ends without", left, t.Limit, t.Where)
	}
	return ""
}

// checkTasks looks at the limits of the daemon where one runs, else of this command.
func checkTasks(pid int) Check {
	const name = "threads"
	t, ok := TasksOf(pid)
	switch scarce := t.Scarce(); {
	case !ok:
		return good(name, "no limit is known")
	case scarce != "":
		return warning(name, TasksRemedy, "%s", scarce)
	case t.Limit == math.MaxUint64:
		return good(name, "no limit")
	}
	return good(name, "%d of %d are left (%s)", t.Limit-min(t.Limit, t.Used), t.Limit, t.Where)
}
