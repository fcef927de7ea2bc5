package recorder

import (
	"bytes"
	"testing"
)

// TestCloseFrame finds a close frame wherever the bytes are cut, and takes none for one that stands in a payload.
func TestCloseFrame(t *testing.T) {
	inside := []byte{closeFrame, 0, closeFrame, 0}
	frames := map[string][]byte{
		"short":             append([]byte{0x81, 4}, inside...),
		"masked":            append([]byte{0x81, 0x84, 1, 2, 3, 4}, inside...),
		"16 bits of length": append([]byte{0x82, 126, 1, 0}, bytes.Repeat(inside, 64)...),
		"64 bits of length": append([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 9, 9, 9, 9}, bytes.Repeat(inside, 16<<10)...),
		"empty":             {0x81, 0},
		"ping":              append([]byte{0x89, 4}, inside...),
	}
	for name, frame := range frames {
		for _, end := range [][]byte{{closeFrame, 0}, {closeFrame, 0x82, 1, 2, 3, 4, 0, 0}} {
			for _, step := range []int{1, 3, 1 << 20} {
				var w webSocket
				feed := func(b []byte) (closed bool) {
					for len(b) > 0 {
						n := min(step, len(b))
						closed = w.passed(b[:n])
						b = b[n:]
					}
					return closed
				}
				if feed(append(bytes.Clone(frame), frame...)) {
					t.Errorf("%s in steps of %d: a payload is taken for a close frame", name, step)
				}
				if !feed(end) {
					t.Errorf("%s in steps of %d: the close frame behind it is not found", name, step)
				}
			}
		}
	}
}
