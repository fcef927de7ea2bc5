package otlp

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"indelible/internal/torture"
)

// TestMasksWhatIsMalformed cuts and damages requests in each place: what is kept of one that cannot be taken apart shows no credential that stands
// behind its name, or that can be told by its form. Its length stays.
func TestMasksWhatIsMalformed(t *testing.T) {
	const late = "sk-0123456789abcdefghijklmn-MARKED" // cut off before its mark it is still one by its form
	s := span(1, "GET /?key="+late, map[string]any{
		"gen_ai.request.model": "m", "http.request.header.authorization": []any{"Bearer MARKED 1"}, "db.password": "MARKED2", "x-api-key": []byte("MARKED3"),
		"headers": map[string]any{"cookie": "MARKED-4"}, "url.full": "https://b/x?X-Amz-Security-Token=0123456789abcdef%2Faaaa%2BMARKED&X-Amz-Signature=0123456789abcdef-MARKED",
		"exception.message": "Incorrect API key provided: " + late,
	})
	s.Status = &trace.Status{Message: "401: AIza_0123456789abcdefghijMARKED"}
	data := request(t, "x", s)
	json := asJSON(t, data)
	pieces := map[string][]byte{"a byte more": append(bytes.Clone(data), 0xff), "JSON with a byte more": append(bytes.Clone(json), '}'), "within garbage": slicesOf(bytes.Repeat([]byte{0xff, 0x0a}, 100_000), data, bytes.Repeat([]byte("x"), 100_000), data)}
	for cut := 1; cut < len(data); cut += 3 * torture.RaceStep(7) {
		pieces[fmt.Sprint("the first ", cut)] = data[:cut]
	}
	for cut := 1; cut < len(json); cut += 3 * torture.RaceStep(7) {
		pieces[fmt.Sprint("the first of JSON ", cut)] = json[:cut]
	}
	for name, piece := range pieces {
		if got := MaskText(piece); bytes.Contains(got, []byte("MARKED")) || len(got) != len(piece) {
			at := bytes.Index(got, []byte("MARKED"))
			t.Fatalf("%s: %q", name, got[max(0, at-60):min(len(got), max(0, at)+40)])
		}
	}
	if text := []byte("what is no credential: task-force-with-0123456789abcdef, password unknown, api_key_hash=0123456789abcdef0123"); !bytes.Equal(MaskText(text), text) {
		t.Errorf("%s", MaskText(text))
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestMasksWhatIsLong has credentials at the ends of what is looked at together, and one that is longer than that: wherever the pieces end in which
// it comes, all of them are masked, and nothing else is.
func TestMasksWhatIsLong(t *testing.T) {
	const secret = "api_key: MARKED0123456789abcdef"
	keyed := "\x0a\x08password\x12\x09\x0a\x07MARKED9"
	long := "authorization: Bearer " + strings.Repeat("MARKED01", rawWindow/8)
	for _, at := range []int{rawWindow - rawOverlap, rawWindow, 2*rawWindow - rawOverlap, 100} {
		for shift := -60; shift < 10; shift += 23 * torture.RaceStep(3) {
			for _, one := range []string{secret, keyed, long} {
				text := strings.Repeat("some text, ", (at+shift)/11) + strings.Repeat(".", (at+shift)%11) + one + strings.Repeat(" and more", 2_000)
				got, err := io.ReadAll(MaskRaw(strings.NewReader(text)))
				if err != nil || len(got) != len(text) || bytes.Contains(got, []byte("MARKED")) || bytes.Contains(got, []byte("KED0")) {
					i := bytes.Index(got, []byte("KED0"))
					t.Fatalf("%.20q at %d: %v, %d bytes, %q at %d", one, at+shift, err, len(got), got[max(0, i-40):max(0, i)+10], i)
				}
				if n := bytes.Count(got, []byte("*")); n > len(one) || !strings.HasSuffix(string(got), " and more") || !strings.HasPrefix(string(got), text[:at+shift]) {
					t.Fatalf("%.20q at %d: %d bytes are masked", one, at+shift, n)
				}
			}
		}
	}
	text := strings.Repeat(secret+" "+keyed+" ", 6_000)
	one, err := io.ReadAll(MaskRaw(strings.NewReader(text)))
	other, err2 := io.ReadAll(MaskRaw(iotest.OneByteReader(strings.NewReader(text))))
	if err != nil || err2 != nil || !bytes.Equal(one, other) || bytes.Contains(one, []byte("MARKED")) {
		t.Errorf("what is masked depends on the pieces in which it comes: %v %v", err, err2)
	}
	broken, err := io.ReadAll(MaskRaw(io.MultiReader(strings.NewReader(secret+"."), iotest.ErrReader(io.ErrClosedPipe))))
	if err != io.ErrClosedPipe || bytes.Contains(broken, []byte("MARKED")) {
		t.Errorf("%q %v", broken, err)
	}
}

// TestTellsWhatTheSenderDropped has each of OTLP's counts of what an SDK dropped, in both encodings.
func TestTellsWhatTheSenderDropped(t *testing.T) {
	s := span(1, "chat", map[string]any{"gen_ai.request.model": "m"})
	s.DroppedAttributesCount, s.DroppedEventsCount, s.DroppedLinksCount = 3, 2, 1
	s.Events = []*trace.Span_Event{{Name: "e", DroppedAttributesCount: 10}}
	s.Links = []*trace.Span_Link{{DroppedAttributesCount: 100}}
	data := request(t, "x", s, span(2, "chat", map[string]any{"gen_ai.request.model": "m"}))
	json := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"droppedAttributesCount":3,"droppedEventsCount":2,"droppedLinksCount":1,"events":[{"droppedAttributesCount":10}],"links":[{"droppedAttributesCount":100}],"attributes":[` + jsonModel + `]},{"attributes":[` + jsonModel + `]}]}]}]}`
	for encoding, data := range map[Encoding][]byte{Protobuf: data, JSON: []byte(json)} {
		list := readAll(t, Traces, encoding, data)
		if got := string(list[0].AppendBody(nil)); !strings.Contains(got, `,"dropped":{"attributes":113,"events":2,"links":1},`) {
			t.Errorf("%s: %.600s", encoding, got)
		}
		if got := string(list[1].AppendBody(nil)); strings.Contains(got, `"dropped"`) {
			t.Errorf("%s: %.600s", encoding, got)
		}
	}
	log := `{"resourceLogs":[{"resource":{"droppedAttributesCount":4},"scopeLogs":[{"scope":{"droppedAttributesCount":5},"logRecords":[{"eventName":"gen_ai.choice","droppedAttributesCount":"6"}]}]}]}`
	if got := string(readAll(t, Logs, JSON, []byte(log))[0].AppendBody(nil)); !strings.Contains(got, `"dropped":{"attributes":6,"around":9}`) {
		t.Errorf("%s", got)
	}
	field := func(number byte, content []byte) []byte {
		return append([]byte{number<<3 | 2, byte(len(content))}, content...)
	}
	around := append(field(1, []byte{2 << 3, 4}), field(2, append(field(1, []byte{4 << 3, 5}), field(2, append(field(12, []byte("gen_ai.choice")), 7<<3, 6))...))...)
	if got := string(readAll(t, Logs, Protobuf, field(1, around))[0].AppendBody(nil)); !strings.Contains(got, `"dropped":{"attributes":6,"around":9}`) {
		t.Errorf("%s", got)
	}
}

// Objects, lists and maps that begin in one another, none of which ends, are not read once for each of them: 64 MiB of them are a request like any other.
func TestReadsOnceWhatBeginsInAnother(t *testing.T) {
	for _, piece := range []string{`{"key":"token","value":{"x":"yyyyyy",`, "\n\x05token\x12\xff\xff\x7fabcd\x01"} {
		const n = 500
		found := 0
		eachRaw([]byte(strings.Repeat(piece, n)), func(int, int, int) { found++ })
		if found < n || found > 3*n {
			t.Errorf("%q: %d places in %d pieces", piece, found, n)
		}
	}
}

// One that begins in another is masked as it is by itself, and what follows it in the other is, too.
func TestMasksWhatBeginsInAnother(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`{"key":"token","value":{"a":"one","key":"secret","value":{"b":"two"},"c":"three"}`, `{"key":"token","value":{"a":"***","key":"secret","value":{"b":"***"},"c":"*****"}`},
		{`"key":"token","value":{"cut "key":"token","value":{"b":"two"}}`, `"key":"token","value":{"****"key":"token","value":{"b":"***"}}`},
		{"\n\x05token\x12\x10ab\x01\n\x05token\x12\x20abcdefgh\x01ijkl\x01", "\n\x05token\x12\x10ab\x01\n\x05*****\x12*********\x01****\x01"},
	} {
		if got := string(MaskText([]byte(c.data))); got != c.want {
			t.Errorf("%q\nis  %q\nnot %q", c.data, got, c.want)
		}
	}
}
