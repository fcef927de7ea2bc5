package pack

import (
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// codec compresses the pages of one Writer. The library's own leaves pages without matches as they are, and so those of digests and ids,
// which lie in hexadecimal digits and take half the room as Huffman codes.
type codec struct {
	*zstd.Encoder
}

func newCodec(level int) (*codec, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithAllLitEntropyCompression(true),
		zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false)) // each page has a CRC of its own
	return &codec{e}, err
}

// String is compress.Codec's.
func (*codec) String() string { return "ZSTD" }

// CompressionCodec is compress.Codec's.
func (*codec) CompressionCodec() format.CompressionCodec { return format.Zstd }

// Encode is compress.Codec's.
func (c *codec) Encode(dst, src []byte) ([]byte, error) { return c.EncodeAll(src, dst[:0]), nil }

// Decode is compress.Codec's. A Writer reads no page.
func (*codec) Decode(dst, src []byte) ([]byte, error) {
	d, err := newZstd()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(src, dst[:0])
}
