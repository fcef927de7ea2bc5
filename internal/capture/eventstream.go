package capture

import (
	"encoding/binary"
	"hash/crc32"
)

// Amazon's event stream: each message is
//
//	+--------+--------+--------+---------+---------+--------+
//	| total  | headers| crc of | headers | payload | crc of |
//	| u32    | u32    | both   |         |         | all    |
//	+--------+--------+--------+---------+---------+--------+
//
// big-endian, CRC-32 (IEEE). A header is: u8 length, name, u8 type, value; of the
// types only 7 (u16 length, text) is of interest here.
const (
	streamPrelude = 12
	streamLeast   = streamPrelude + 4
	streamMost    = 24 << 20
)

// isEventStream reports whether b begins with a prelude whose checksum is right.
func isEventStream(b []byte) bool {
	return len(b) >= streamPrelude && crc32.ChecksumIEEE(b[:8]) == binary.BigEndian.Uint32(b[8:])
}

func splitEventStream(b []byte) (list []event, whole bool) {
	for at := 0; len(list) < maxEvents; {
		m := b[at:]
		if len(m) == 0 {
			return list, true
		}
		if !isEventStream(m) {
			return list, false
		}
		total, headers := binary.BigEndian.Uint32(m), binary.BigEndian.Uint32(m[4:])
		if total < streamLeast || total > streamMost || int64(total) > int64(len(m)) || headers > total-streamLeast {
			return list, false
		}
		body := m[:total-4]
		if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(m[total-4:]) {
			return list, false
		}
		at += int(total)
		list = append(list, event{name: streamName(body[streamPrelude : streamPrelude+headers]), data: body[streamPrelude+headers:], end: at})
	}
	return list, true
}

// sizes are the lengths of header values by type; -1 is told by the value.
var streamSizes = [...]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: -1, 7: -1, 8: 8, 9: 16}

// streamName is the event's or the exception's type.
func streamName(h []byte) string {
	event := ""
	for len(h) >= 2 {
		n := int(h[0])
		if len(h) < 2+n {
			break
		}
		name, kind := string(h[1:1+n]), h[1+n]
		h = h[2+n:]
		if int(kind) >= len(streamSizes) {
			break
		}
		size := streamSizes[kind]
		if size < 0 {
			if len(h) < 2 {
				break
			}
			size = int(binary.BigEndian.Uint16(h))
			h = h[2:]
		}
		if len(h) < size {
			break
		}
		switch name {
		case ":exception-type", ":error-code":
			return "exception " + string(h[:size])
		case ":event-type":
			event = string(h[:size])
		}
		h = h[size:]
	}
	return event
}
