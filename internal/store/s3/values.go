package s3

import (
	"encoding/base64"
	"mime"
	"strings"
)

// encodeValue makes any text a header value that comes back as it was: S3
// answers what is not printable ASCII as an RFC 2047 encoded word, so we send it
// as one, and do the same for what HTTP would trim or we would take for one.
func encodeValue(v string) string {
	plain := !strings.Contains(v, "=?") && strings.TrimSpace(v) == v && !strings.Contains(v, "  ")
	for i := 0; plain && i < len(v); i++ {
		plain = v[i] >= 0x20 && v[i] < 0x7f
	}
	if plain {
		return v
	}
	// An encoded word holds at most 75 characters; adjacent ones are joined again when decoded.
	if enc := mime.BEncoding.Encode("UTF-8", v); enc != v {
		return enc
	}
	// The encoder leaves printable ASCII alone.
	const chunk = 45
	var words []string
	for len(v) > 0 {
		n := min(chunk, len(v))
		words = append(words, "=?UTF-8?B?"+base64.StdEncoding.EncodeToString([]byte(v[:n]))+"?=")
		v = v[n:]
	}
	return strings.Join(words, " ")
}

func decodeValue(v string) string {
	if !strings.Contains(v, "=?") {
		return v
	}
	plain, err := new(mime.WordDecoder).DecodeHeader(v)
	if err != nil {
		return v
	}
	return plain
}

func encodeMeta(meta map[string]string) map[string]string {
	if len(meta) == 0 {
		return nil
	}
	out := make(map[string]string, len(meta))
	for name, value := range meta {
		out[name] = encodeValue(value)
	}
	return out
}

// trimETag takes the quotes off.
func trimETag(s string) string { return strings.Trim(s, `"`) }
