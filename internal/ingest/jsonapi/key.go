package jsonapi

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"indelible/internal/layout"
)

// Keys says how the keys of LiteLLM's payloads are made. They are exactly those
// of its s3_v2 callback under the s3_callback_params of the same names, so that
// a switch from one to the other changes nothing behind the bucket.
type Keys struct {
	Path       string         // s3_path
	TeamPrefix bool           // s3_use_team_prefix
	KeyPrefix  bool           // s3_use_key_prefix
	Hours      bool           // s3_partition_granularity: hour
	Location   *time.Location // LiteLLM's local time zone; nil is this process's
}

// fields are what the key of an element is made of.
type fields struct {
	id      string // "" if there is none
	hasID   bool   // it is a JSON string
	start   float64
	started bool   // startTime is a JSON number
	mark    bool   // a field of LiteLLM's payloads is there
	stated  string // a time in another form, "" if there is none
	team    string
	keyName string
	cold    string // the key that LiteLLM expects to find the payload under
}

// look finds the fields in an element that is JSON.
func lookFor(raw []byte) (f fields) {
	if raw[0] != '{' {
		return f
	}
	gjson.ParseBytes(raw).ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "id":
			f.id, f.hasID = v.Str, v.Type == gjson.String
			if v.Type == gjson.Number {
				f.id = v.Raw
			}
		case "startTime":
			if v.Type == gjson.Number {
				f.start, f.started = v.Num, true
			} else if f.stated == "" {
				f.stated = v.Str
			}
		case "start_time", "timestamp", "time":
			if f.stated == "" {
				f.stated = v.String()
			}
		case "call_type", "litellm_call_id", "model":
			f.mark = true
		case "metadata":
			f.mark = true
			f.team, f.keyName, f.cold = text(v, "user_api_key_team_alias"), text(v, "user_api_key_alias"), text(v, "cold_storage_object_key")
		}
		return true
	})
	return f
}

// text is a field that is a JSON string, or "".
func text(v gjson.Result, name string) string {
	if f := v.Get(name); f.Type == gjson.String {
		return f.Str
	}
	return ""
}

// Bounds of a time that a sender states, in Unix seconds: what is outside of
// them was meant in another unit, or not as a time.
const (
	minTime = 946684800  // 2000
	maxTime = 4102444800 // 2100
)

// liteLLM reports whether the element is a payload that s3_v2 would have
// written, and its start in LiteLLM's local time.
func (k Keys) liteLLM(f fields) (start time.Time, ok bool) {
	if !f.hasID || !f.started || !f.mark || f.start < 0 || f.start > maxTime {
		return time.Time{}, false
	}
	// Python's rounding; a double holds microseconds of such times.
	return time.UnixMicro(int64(math.RoundToEven(f.start * 1e6))).In(k.Location), true
}

// key is the key that s3_v2 gives a payload.
func (k Keys) key(f fields, start time.Time) string {
	var prefix string
	if k.TeamPrefix && f.team != "" {
		prefix = f.team + "/"
	}
	if k.KeyPrefix && f.keyName != "" {
		prefix += f.keyName + "/"
	}
	if k.Path != "" {
		prefix = strings.TrimRight(k.Path, "/") + "/" + prefix
	}
	name := "time-" + strings.ReplaceAll(start.Format("15-04-05.000000"), ".", "-") + "_" + f.id
	day, hour := start.Format("2006-01-02/"), start.Format("2006-01-02/15/")
	if f.cold != "" {
		// LiteLLM reads the payload back under the name that it noted in it.
		for _, date := range []string{day, hour} {
			if key := bound(prefix, date, name); key == f.cold {
				return key
			}
		}
	}
	if k.Hours {
		return bound(prefix, hour, name)
	}
	return bound(prefix, day, name)
}

// LiteLLM's bounds of a key, in bytes.
const (
	maxKey      = 1024
	maxFileName = 255 // with the extension
	minFileName = 64  // a digest: what is left of the name before the prefix is cut
	headBytes   = 64
	extension   = ".json"
)

// bound is LiteLLM's get_s3_object_key: the name is shortened first, and the
// prefix only where that does not suffice.
func bound(prefix, date, name string) string {
	clean := strings.NewReplacer("/", "_", ":", "_").Replace(name)
	const most = maxFileName - len(extension)
	if len(prefix)+len(date)+len(clean)+len(extension) <= maxKey && len(clean) <= most {
		return prefix + date + clean + extension
	}
	room := maxKey - len(date) - len(extension)
	if len(prefix)+minFileName <= room {
		return prefix + date + boundName(name, clean, min(most, room-len(prefix))) + extension
	}
	short := boundName(name, clean, minFileName)
	return boundPrefix(prefix, room-len(short)) + date + short + extension
}

func boundName(name, clean string, most int) string {
	sum := sha256.Sum256([]byte(name))
	digest := hex.EncodeToString(sum[:])
	if head := cut(clean, min(headBytes, most-len(digest)-1)); head != "" {
		return head + "_" + digest
	}
	return digest
}

func boundPrefix(prefix string, most int) string {
	sum := sha256.Sum256([]byte(prefix))
	segment := hex.EncodeToString(sum[:8]) + "/"
	if most < len(segment) {
		return ""
	}
	if head := strings.TrimRight(cut(prefix, most-len(segment)-1), "/"); head != "" {
		return head + "/" + segment
	}
	return segment
}

// cut is the longest beginning of s within so many bytes that splits no character.
func cut(s string, most int) string {
	if most <= 0 {
		return ""
	}
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// stated is the time that an element of another kind gives itself.
func (f fields) statedTime() (time.Time, bool) {
	if f.started && f.start >= minTime && f.start < maxTime {
		return time.UnixMicro(int64(math.RoundToEven(f.start * 1e6))), true
	}
	for _, form := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05"} {
		if t, err := time.Parse(form, f.stated); err == nil && t.Unix() >= minTime && t.Unix() < maxTime {
			return t, true
		}
	}
	return time.Time{}, false
}

// naming makes the keys of one request's elements. The same request sent again
// gets the same keys.
type naming struct {
	door        *Door
	now         time.Time
	idempotency string // the request's Idempotency-Key
	body        []byte
	seed        [sha256.Size]byte // of the ids of elements that have none
	seeded      bool
}

// key is the key of the i-th element.
func (n *naming) key(i int, e element) string {
	var f fields
	if json := e.json(); json != nil {
		f = lookFor(json)
	}
	if start, ok := n.door.keys.liteLLM(f); ok {
		return n.door.keys.key(f, start)
	}
	id := f.id
	if id == "" {
		id = n.id(i, e.raw)
	}
	at, ok := f.statedTime()
	if !ok {
		at = n.door.arrivals.First(id, sha256.Sum256(e.raw), n.now)
	}
	return layout.DoorKey(door, at.UTC(), id)
}

// id is made of the request and the element's place in it: two elements that
// look alike are two records, and both are known when the request comes again.
// With an Idempotency-Key, it is the request; else its bytes are.
func (n *naming) id(i int, raw []byte) string {
	if !n.seeded {
		n.seeded = true
		if n.idempotency != "" {
			n.seed = sha256.Sum256([]byte("key " + n.idempotency))
		} else {
			n.seed = sha256.Sum256(n.body)
		}
	}
	h := sha256.New()
	h.Write(n.seed[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(i)))
	h.Write(raw)
	return hex.EncodeToString(h.Sum(nil)[:16])
}
