//go:build !linux

package doctor

// fileSystem names the kind of file system that dir lies on, where we know how
// to ask.
func fileSystem(string) (kind string, d durability) { return "", lasting }

// TasksOf knows of none here.
func TasksOf(int) (Tasks, bool) { return Tasks{}, false }

// LimitsOf says what the file system of dir is short of, where we know how to ask.
func LimitsOf(string) Limits { return Limits{} }

// clockSynced says whether something disciplines the clock, where we know how
// to ask.
func clockSynced() (synced, known bool) { return false, false }
