package recorder

import "encoding/binary"

// webSocket follows the frames of one direction of a WebSocket (RFC 6455, section 5.2) as far as needed to tell whether a close frame was among
// them. The zero value is ready. One goroutine uses it.
type webSocket struct {
	head   [14]byte // of the frame that begins
	got    int      // so many bytes of it
	skip   uint64   // bytes of the payload that are still to come
	closed bool     // a close frame has begun
}

// closeFrame is the first byte of a close frame: it may not be a fragment, and no known extension changes it.
const closeFrame = 0x88

// passed notes bytes, and says whether a close frame has come.
func (w *webSocket) passed(p []byte) bool {
	for len(p) > 0 && !w.closed {
		if n := min(w.skip, uint64(len(p))); n > 0 {
			w.skip -= n
			p = p[n:]
			continue
		}
		w.head[w.got] = p[0]
		w.got++
		p = p[1:]
		if w.got < 2 || w.got < w.headBytes() {
			continue
		}
		w.closed = w.head[0] == closeFrame
		w.skip, w.got = w.payload(), 0
	}
	return w.closed
}

// headBytes is how long the head is whose first two bytes have come.
func (w *webSocket) headBytes() int {
	n := 2
	switch w.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if w.head[1]&0x80 != 0 { // the client's mask
		n += 4
	}
	return n
}

// payload is the length that a whole head announces.
func (w *webSocket) payload() uint64 {
	switch n := w.head[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(w.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(w.head[2:])
	default:
		return uint64(n)
	}
}
