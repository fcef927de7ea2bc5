package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

const (
	maxLine          = 4 << 10  // bytes of a chunk's header or of a trailer
	maxTrailers      = 16 << 10 // bytes of all trailers
	trailerSigName   = "x-amz-trailer-signature"
	chunkSigName     = "chunk-signature"
	chunkAlgorithm   = algorithm + "-PAYLOAD"
	trailerAlgorithm = algorithm + "-TRAILER"
)

// chunkReader decodes aws-chunked:
//
//	chunk    = hex size [";chunk-signature=" 64 hex] CRLF data CRLF
//	last     = "0" [";chunk-signature=" 64 hex] CRLF
//	trailers = *(name ":" value CRLF) ["x-amz-trailer-signature:" 64 hex CRLF] CRLF
//
// It holds one line and never a chunk: data is handed out as it comes, and a
// signature that does not match ends the stream with an error instead of io.EOF.
// How long the data is to be is the caller's to check.
type chunkReader struct {
	br        *bufio.Reader
	announced []string // names of the trailers that have to come
	chain     *chain   // nil if signatures are not there or not checked
	signedEnd bool     // the trailers are signed

	n        int64 // decoded so far
	left     int64 // of the current chunk
	inChunk  bool
	sig      string            // the current chunk's
	trailers map[string]string // that came
	err      error
}

func newChunkReader(src io.Reader, announced []string, c *chain, signedEnd bool) *chunkReader {
	return &chunkReader{br: bufio.NewReaderSize(src, maxLine), announced: announced,
		chain: c, signedEnd: signedEnd, trailers: map[string]string{}}
}

// trailer is the value of a trailer that came, once Read has returned io.EOF.
func (r *chunkReader) trailer(name string) string { return r.trailers[name] }

// Read implements io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err := r.read(p)
	if err == io.ErrUnexpectedEOF {
		err = incompleteBody(fmt.Sprintf("The request ended after %d bytes of its body, before the last chunk.", r.n), err)
	}
	r.err = err
	return n, err
}

func (r *chunkReader) read(p []byte) (int, error) {
	if !r.inChunk {
		if err := r.header(); err != nil {
			return 0, err
		}
		if r.left == 0 {
			return 0, r.end()
		}
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.left)])
	r.n += int64(n)
	r.left -= int64(n)
	if r.chain != nil {
		r.chain.data.Write(p[:n])
	}
	if err != nil {
		return n, unexpected(err)
	}
	if r.left > 0 {
		return n, nil
	}
	r.inChunk = false
	if line, err := r.line(); err != nil {
		return n, unexpected(err)
	} else if len(line) > 0 {
		return n, badChunk("A chunk is longer than its header says.")
	}
	return n, r.checkChunk()
}

// header reads the header of the next chunk.
func (r *chunkReader) header() error {
	line, err := r.line()
	if err != nil {
		return unexpected(err)
	}
	digits, extensions, _ := bytes.Cut(line, []byte(";"))
	size, ok := parseSize(bytes.TrimSpace(digits))
	if !ok {
		return badChunk("The header of a chunk has no size in hexadecimal.")
	}
	r.sig = ""
	for len(extensions) > 0 {
		var ext []byte
		ext, extensions, _ = bytes.Cut(extensions, []byte(";"))
		if name, value, _ := bytes.Cut(bytes.TrimSpace(ext), []byte("=")); string(name) == chunkSigName {
			r.sig = string(value)
		}
	}
	r.left, r.inChunk = size, true
	return nil
}

func parseSize(digits []byte) (int64, bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range digits {
		d := unhex(c)
		if d < 0 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, true
}

// checkChunk checks the signature of the chunk that was read.
func (r *chunkReader) checkChunk() error {
	if r.chain == nil || r.chain.checkChunk(r.sig) {
		return nil
	}
	return signatureMismatch("The signature of a chunk does not match its data.")
}

// end reads what follows the header of the last chunk. It returns io.EOF if the
// body is complete.
func (r *chunkReader) end() error {
	if err := r.checkChunk(); err != nil {
		return err
	}
	if err := r.readTrailers(); err != nil {
		return err
	}
	for _, name := range r.announced {
		if _, came := r.trailers[name]; !came {
			return badTrailer("The trailer " + quote(name) + " was announced and did not come.")
		}
	}
	if !r.signedEnd || r.chain == nil {
		return io.EOF
	}
	if !r.chain.checkTrailers(r.trailers) {
		return signatureMismatch("The signature of the trailers does not match them.")
	}
	return io.EOF
}

// readTrailers reads lines to the end of the request. Blank ones are passed
// over: clients, and S3's own documentation, differ in where they put them.
func (r *chunkReader) readTrailers() error {
	for total := 0; ; {
		line, err := r.line()
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return unexpected(err)
		}
		if total += len(line) + 1; total > maxTrailers {
			return badTrailer("The trailers are too long.")
		}
		if len(line) == 0 {
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		_, twice := r.trailers[name]
		if !ok || twice || !slices.Contains(r.announced, name) && !(r.signedEnd && name == trailerSigName) {
			return badTrailer("There is something behind the last chunk that was not announced as a trailer: " + quote(name))
		}
		r.trailers[name] = value
	}
}

// line reads a line of at most maxLine bytes and returns it without its end. It
// stays valid until the next read. A line that the request ends in is returned
// with io.EOF.
func (r *chunkReader) line() ([]byte, error) {
	line, err := r.br.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		return nil, badChunk("A line of the chunked body is too long.")
	case err != nil:
		return line, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chain is the chain of signatures over the chunks of a body: each covers its
// data and the signature before it, from that of the head on.
type chain struct {
	key         *signingKey
	date, scope string
	previous    string // the last signature that was right
	data        hash.Hash
	buf, mac    []byte
}

func newChain(a *Auth) *chain {
	return &chain{key: a.key, date: a.date, scope: a.scope, previous: a.signature, data: sha256.New()}
}

// checkChunk tells whether sig is the signature of the data since the last call.
func (c *chain) checkChunk(sig string) bool {
	var sum [sha256.Size]byte
	c.data.Sum(sum[:0])
	c.data.Reset()
	c.begin(chunkAlgorithm)
	c.buf = append(c.buf, emptySHA256+"\n"...)
	return c.check(sum, sig)
}

// checkTrailers tells whether the trailers hold a signature over the others.
func (c *chain) checkTrailers(trailers map[string]string) bool {
	var names []string
	for name := range trailers {
		if name != trailerSigName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var canonical []byte
	for _, name := range names {
		canonical = append(canonical, name+":"+trailers[name]+"\n"...)
	}
	c.begin(trailerAlgorithm)
	return c.check(sha256.Sum256(canonical), trailers[trailerSigName])
}

// begin starts a string to sign.
func (c *chain) begin(algorithm string) {
	c.buf = c.buf[:0]
	for _, s := range []string{algorithm, c.date, c.scope, c.previous} {
		c.buf = append(c.buf, s...)
		c.buf = append(c.buf, '\n')
	}
}

func (c *chain) check(sum [sha256.Size]byte, sig string) bool {
	c.buf = hex.AppendEncode(c.buf, sum[:])
	c.mac = c.key.appendMAC(c.mac[:0], c.buf)
	c.previous = sig
	return equalHex(c.mac, sig)
}
