package control

import (
	"fmt"
	"strings"
	"time"
)

// Health is the most severe problem of a log, in a sentence.
type Health struct {
	Level Level `json:"level"`
	// Lead and Rest are the sentence: what it is, and what that means. They may quote
	// errors, and so hold text from elsewhere.
	Lead string `json:"lead"`
	Rest string `json:"rest"`
}

// Level is how bad the Health of a log is.
type Level string

// The levels.
const (
	Good Level = "good" // nothing is to be done
	Warn Level = "warn" // nothing is lost, and somebody should look
	Bad  Level = "bad"  // records do not arrive, or are refused or lost
)

// Remedy is what to do about the destination's state; "" where nothing is.
func (d DestinationStatus) Remedy() string {
	switch d.State {
	case "throttled":
		return "nothing: it asks for less, and delivery goes at the pace it takes"
	case "credentials":
		return "give serve credentials that may write there; \"indelible doctor\" tells which are used"
	case "configuration":
		if strings.Contains(d.LastError, "certificate") {
			return "see to the certificate, as the last error says; \"indelible doctor\" tries it again"
		}
		return "check bucket, region and endpoint; \"indelible doctor\" tells what is wrong"
	case "unreachable":
		if strings.HasPrefix(d.URL, "file:") {
			return "see to the directory and its file system, as the last error says (\"indelible doctor\" tries what it must do); records are kept here and delivered when it works"
		}
		return "check network and endpoint; records are kept here and delivered when it is back"
	}
	return ""
}

// Remedy is what to do about the disk's state; "" where nothing is.
func (d DiskStatus) Remedy() string {
	switch d.State {
	case DiskReadOnly:
		return "find out why in dmesg, have the disk checked, and mount it for writing; senders keep their records meanwhile"
	case DiskFailing:
		return "look at dmesg and replace the disk; nothing is given up, and what cannot be read is tried again for ever"
	case DiskFull:
		return "make room, or bring the destination back, which makes room; senders keep their records meanwhile"
	case DiskInodes:
		return "remove files from this file system, or give the data directory another one"
	case DiskSlow:
		return "see what else writes to this disk, and whether it is failing (\"indelible doctor\", dmesg), or put the data directory on a faster one"
	}
	return ""
}

// GapRemedy is what to do where the disk has lost records.
const GapRemedy = "replace the disk; \"indelible verify\" proves which records are gone, and their senders may still have them (docs/recovery.md, \"Records that the disk lost\")"

// stale is how long a record may wait before Health says so.
const stale = 5 * time.Minute

// Health names the most severe problem of the log.
func (s Status) Health() Health {
	d := s.Destination
	waiting := count(s.Pending, "record") + plural(s.Pending, " waits", " wait") + " here and will be delivered"
	if s.Pending == 0 {
		waiting = "nothing waits here, and what comes now will wait here and be delivered"
	}
	switch state := s.Disk.State; {
	case state == DiskReadOnly, state == DiskFailing, state == DiskFull, state == DiskInodes:
		return Health{Bad, "The disk is " + string(state) + ":", s.Disk.Reason + "."}
	case s.Log.Problem != "":
		return Health{Bad, "The log cannot go on:", s.Log.Problem + "."}
	case s.Gaps > 0:
		return Health{Bad, "The disk has lost acknowledged records:", count(s.Gaps, "gap") + " in the log. Replace the disk."}
	case d.State == "credentials" || d.State == "configuration" || d.State == "unreachable":
		return Health{Bad, "The destination takes nothing (" + d.State + "):", waiting + "; nothing is lost."}
	case s.Scrub != nil && s.Scrub.Faults > 0:
		return Health{Bad, "The destination has lost or changed what it had taken:", count(uint64(s.Scrub.Faults), "fault") + ", the first: " + s.Scrub.First + ". \"indelible verify\" names them all."}
	case s.Quarantined > 0:
		return Health{Warn, count(s.Quarantined, "record") + " parked:", "the destination refuses " + plural(s.Quarantined, "it", "them") + ". \"indelible ls\" and \"indelible get --attrs\" tell why."}
	case s.OldestPendingSeconds > int64(stale/time.Second):
		return Health{Warn, "Delivery is slow:", waiting + "."}
	case s.Disk.State == DiskSlow:
		return Health{Warn, "The disk is slow:", s.Disk.Reason + "."}
	case d.State == "throttled":
		return Health{Warn, "The destination asks for less:", waiting + "."}
	case s.Acked == 0:
		return Health{Good, "Ready:", "no record has come yet."}
	case s.Pending > 0:
		return Health{Good, "All is well:", count(s.Pending, "record") + " on the way, the others stored."}
	case s.Proven < s.Stored:
		return Health{Good, "All is well:", "every record is stored, and the newest are about to be proven."}
	}
	return Health{Good, "All is well:", "every record is stored and proven."}
}

// count is a number of things: "1 record", "2 records".
func count(n uint64, what string) string { return fmt.Sprint(n, " ", plural(n, what, what+"s")) }

func plural(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
