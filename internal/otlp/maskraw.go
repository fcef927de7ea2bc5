package otlp

import (
	"bytes"
	"io"
	"regexp"
	"slices"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/encoding/protowire"
)

// MaskText is a copy of data that nobody can read with the credentials masked that its texts show, or that stand behind their names in
// pieces of protobuf and of OTLP/JSON; or data itself.
func MaskText(data []byte) []byte {
	if validJSON(data) {
		m := masker{raw: data, original: data}
		eachText("", gjson.Parse(shared(data)), maxJSONDepth, m.leaf(func(text string) { m.place(&m.raw, data, 0, text) }))
		data = m.raw
	}
	var out []byte
	m := rawMasker{src: bytes.NewReader(data)} // in windows: what is found takes memory
	for at := 0; ; at += len(m.ready) {
		if m.fill(); !bytes.Equal(m.ready, data[at:at+len(m.ready)]) {
			if out == nil {
				out = bytes.Clone(data)
			}
			copy(out[at:], m.ready)
		}
		if m.err != nil {
			break
		}
	}
	if out == nil {
		return data
	}
	return out
}

func asterisks(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}

// keyJSON is the beginning of a KeyValue of OTLP/JSON.
var keyJSON = regexp.MustCompile(`"key"\s*:\s*"([^"\\]{4,256})"\s*,\s*"value"\s*:\s*\{`)

// escapedQuery is what inText finds behind an ampersand, where JSON spells that with an escape.
var escapedQuery = regexp.MustCompile(`(?i)\\u0026(?:key|sig|signature|token|x-amz-signature|x-amz-security-token|x-goog-signature)=([A-Za-z0-9._~+/=%-]{16,})`)

// eachJSONText calls f with the texts in the objects, which may be cut, that places begin: those that are values, but for keys. Of each place that is where
// what tells of a credential begins, and where the object's first member may stand. One that begins in another is read once, with it, and as it says by
// itself: the other need not be JSON.
func eachJSONText(s string, places [][2]int, f func(begin, from, to int)) {
	name, begin, i, depth := "", 0, 0, 0
	for {
		next := len(s)
		if len(places) > 0 {
			next = places[0][0]
		}
		if depth == 0 || i >= next {
			if len(places) == 0 {
				return
			}
			if depth == 0 {
				begin = next
			}
			i, depth, name, places = places[0][1], depth+1, "", places[1:]
			continue
		}
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			from := i + 1
			for i = from; i < next && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
			to := min(i, next)
			n := i + 1
			for n < next && (s[n] == ' ' || s[n] == '\n' || s[n] == '\r' || s[n] == '\t') {
				n++
			}
			if n < next && s[n] == ':' {
				name = s[from:to]
			} else if name != "key" && to > from {
				f(begin, from, to)
			}
		}
		i++
	}
}

// eachRaw calls f with the credentials in bytes of which nobody knows what they are: where what tells of one begins, and its place.
func eachRaw(data []byte, f func(begin, from, to int)) {
	s := shared(data)
	if hinted(s) {
		eachCredential(s, -1, func(from, to int) { f(max(0, from-maxNameBytes), from, to) })
	}
	if bytes.Contains(data, []byte(`\u0026`)) {
		for _, at := range escapedQuery.FindAllStringSubmatchIndex(s, -1) {
			f(at[0], at[2], at[3])
		}
	}
	if bytes.Contains(data, []byte(`"key"`)) {
		var places [][2]int
		for _, at := range keyJSON.FindAllStringSubmatchIndex(s, -1) {
			if telling(s[at[2]:at[3]]) {
				places = append(places, [2]int{at[0], at[1]})
			}
		}
		eachJSONText(s, places, f)
	}
	read := 0
	for at := 0; ; at++ {
		n := bytes.IndexByte(data[at:], keyTag)
		if n < 0 {
			return
		}
		at += n
		read = max(read, eachRawValue(data, at, read, f))
	}
}

// maxNameBytes is how far before a credential its name begins, at most.
const maxNameBytes = 64

// Tags of a KeyValue, and of an AnyValue that is a text or bytes.
const (
	keyTag   = 1<<3 | byte(protowire.BytesType)
	valueTag = 2<<3 | byte(protowire.BytesType)
	textTag  = 1<<3 | byte(protowire.BytesType)
	bytesTag = 7<<3 | byte(protowire.BytesType)
)

// eachRawValue calls f with the value of a KeyValue in protobuf that begins at an offset and is named like a credential; it may be cut. Of a list or
// a map whatever is a text is one. Up to read such texts were found before, in a list or a map that this one may stand in; it returns up to where they are now.
func eachRawValue(data []byte, at, read int, f func(begin, from, to int)) int {
	const longest = 256
	b := data[at+1:]
	if len(b) == 0 || int(b[0]) < len("token") || b[0] >= 0x80 || len(b) < 1+int(b[0])+1 || b[1+b[0]] != valueTag {
		return read
	}
	key, b := shared(b[1:1+b[0]]), b[1+int(b[0])+1:]
	if len(key) > longest || !telling(key) {
		return read
	}
	size, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return read
	}
	from := len(data) - len(b) + n
	to := len(data)
	if size < uint64(to-from) {
		to = from + int(size)
	}
	if value := data[from:to]; len(value) > 0 && (value[0] == textTag || value[0] == bytesTag) {
		if _, n := protowire.ConsumeVarint(value[1:]); n > 0 {
			f(at, from+1+n, to)
		}
		return read
	}
	if read > from {
		from = max(from, read-shortestText) // one that was cut there goes on
	}
	for from < to {
		n := from
		for n < to && data[n] >= 0x20 && data[n] != 0x7f {
			n++
		}
		if n-from >= shortestText {
			f(at, from, n)
		}
		from = n + 1
	}
	return to
}

// shortestText is how long a text in a list or a map is at least to be masked.
const shortestText = 4

// MaskRaw reads what src has with the credentials masked that MaskText would find, but for those in JSON that stand in objects of another
// form than OTLP's. What it gives depends on the bytes alone, not on how they come.
func MaskRaw(src io.Reader) io.Reader { return &rawMasker{src: src} }

// Of what is read at a time, the end is looked at again with what follows: a credential that begins before it is whole in it, or is masked to its end.
const (
	rawWindow  = 256 << 10
	rawOverlap = 16 << 10
)

type rawMasker struct {
	src    io.Reader
	buf    []byte
	ready  []byte // of buf: masked
	held   int    // bytes at the beginning of buf that were held back
	inside bool   // what comes goes on with a credential
	err    error
}

// Read implements io.Reader.
func (m *rawMasker) Read(p []byte) (int, error) {
	for len(m.ready) == 0 {
		if m.err != nil {
			return 0, m.err
		}
		m.fill()
	}
	n := copy(p, m.ready)
	m.ready = m.ready[n:]
	return n, nil
}

func (m *rawMasker) fill() {
	if m.buf == nil {
		m.buf = make([]byte, rawWindow)
	}
	copy(m.buf, m.buf[len(m.buf)-m.held:]) // all of it was filled, or this is the end
	n, err := io.ReadFull(m.src, m.buf[m.held:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	b := m.buf[:m.held+n]
	if m.inside {
		n := m.held
		for n < len(b) && b[n] > ' ' && b[n] < 0x7f && b[n] != '"' {
			n++
		}
		asterisks(b[m.held:n])
		m.inside = n == len(b)
	}
	cut := len(b)
	if m.err = err; err == nil {
		cut -= rawOverlap
	}
	type place struct{ from, to int }
	var found []place
	eachRaw(b, func(begin, from, to int) {
		if begin < cut {
			found = append(found, place{from, to})
		}
	})
	slices.SortFunc(found, func(a, b place) int { return a.from - b.from })
	done := 0 // places may lie in each other: each byte is masked once
	for _, at := range found {
		asterisks(b[min(max(at.from, done), at.to):at.to])
		done = max(done, at.to)
		m.inside = m.inside || at.to == len(b) && err == nil
	}
	m.ready, m.held = b[:cut], len(b)-cut
}
