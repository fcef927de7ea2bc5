package main

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// bodySize is about how long a record is, as LiteLLM's of a short chat.
const bodySize = 4 << 10

var words = strings.Fields("refund policy invoice customer please summarise the contract in two sentences and translate it into French before Friday")

// body is the record of an id, the same each time, so that what is found in a bucket can be
// compared with it. The id stands in front and nowhere else.
func body(id string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // never fails
	rng := rand.New(rand.NewPCG(h.Sum64(), 0))
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":"%s","model":"gpt-5-mini","messages":[{"role":"user","content":"`, id)
	for b.Len() < bodySize {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	b.WriteString(`"}]}`)
	return b.String()
}

// idOf is the id that a record begins with.
func idOf(record string) (string, bool) {
	rest, ok := strings.CutPrefix(record, `{"id":"`)
	if !ok {
		return "", false
	}
	id, _, ok := strings.Cut(rest, `"`)
	return id, ok
}

// otlpLogs is an ExportLogsServiceRequest with one log record, as an SDK sends it:
// resource_logs 1, scope_logs 2, log_records 2, time_unix_nano 1, body 5, string_value 1.
func otlpLogs(text string, nanos int64) []byte {
	record := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, uint64(nanos))
	record = append(record, field(5, field(1, []byte(text)))...)
	return field(1, field(2, field(2, record)))
}

// field is a protobuf field that holds bytes.
func field(number int, value []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(number)<<3|2)
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}
