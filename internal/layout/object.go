package layout

import (
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// MaxMeta is how many bytes of names and values S3 takes as user metadata.
const MaxMeta = 2048

// MetaOwn is how the names of all metadata start that is ours. Doors do not
// show it, and a sender's of that name is not kept.
const MetaOwn = "indelible-"

// Names of our metadata. Each is there only as far as MaxMeta allows, in the
// order of describe.
const (
	MetaSeq      = MetaOwn + "seq"
	MetaBucket   = MetaOwn + "bucket" // the sender's
	MetaDigest   = MetaOwn + "sha256"
	MetaMD5      = MetaOwn + "md5"
	MetaLog      = MetaOwn + "log"
	MetaTime     = MetaOwn + "time" // arrival
	MetaDoor     = MetaOwn + "door"
	MetaChecksum = MetaOwn + "checksum"
	MetaFlag     = MetaOwn + "flag"
	MetaKey      = MetaOwn + "key" // the key as sent, where the stored one does not tell
	MetaSource   = MetaOwn + "source"

	metaHeader = MetaOwn + "header-" // a kept header that HTTP cannot carry as it is
)

// userMeta is how the sender's metadata is named among a record's attributes.
const userMeta = "x-amz-meta-"

// encoded marks a metadata value that HTTP could not carry as it is.
const encoded = "=?indelible?"

// keptHeaders are the request headers that an object keeps.
var keptHeaders = [...]string{"cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"}

// KeptHeader reports whether the request header of that lower-case name stays with the object.
func KeptHeader(name string) bool { return slices.Contains(keptHeaders[:], name) }

// Object is what to store for a record under the key stored: everything but
// its Body. log is the log's name.
func (o Objects) Object(info record.Info, stored, log string) store.Object {
	obj := store.Object{Key: stored, Size: info.Size, Digest: info.Digest, Header: map[string]string{}, Meta: map[string]string{}}
	for _, at := range info.Attrs {
		meta, isMeta := strings.CutPrefix(at.Name, userMeta)
		switch {
		case isMeta && !strings.HasPrefix(meta, MetaOwn):
			join(obj.Meta, meta, at.Value)
		case KeptHeader(at.Name):
			join(obj.Header, at.Name, at.Value)
		}
	}
	for name, value := range obj.Header {
		if unfit(value) {
			delete(obj.Header, name)
			obj.Meta[metaHeader+name] = value
		}
	}
	for name, value := range obj.Meta {
		obj.Meta[name] = encode(value)
	}
	o.describe(obj.Meta, info, stored, log)
	return obj
}

// describe adds our own metadata, the most telling first.
func (o Objects) describe(meta map[string]string, info record.Info, stored, log string) {
	room := MaxMeta
	for name, value := range meta {
		room -= len(name) + len(value)
	}
	key := info.Key
	if sent, ok := o.Sent(info.Bucket, stored); ok && sent == key {
		key = ""
	}
	for _, own := range []record.Attr{
		{Name: MetaSeq, Value: strconv.FormatUint(uint64(info.Seq), 10)},
		{Name: MetaBucket, Value: info.Bucket},
		{Name: MetaDigest, Value: info.Digest.String()},
		{Name: MetaMD5, Value: info.Attrs.Get(record.AttrMD5)},
		{Name: MetaLog, Value: log},
		{Name: MetaTime, Value: info.Time.UTC().Format(time.RFC3339Nano)},
		{Name: MetaDoor, Value: info.Door},
		{Name: MetaChecksum, Value: info.Attrs.Get(record.AttrChecksum)},
		{Name: MetaFlag, Value: info.Attrs.Get(record.AttrFlag)},
		{Name: MetaKey, Value: key},
		{Name: MetaSource, Value: info.Source},
	} {
		value := encode(own.Value)
		if value == "" || len(own.Name)+len(value) > room {
			continue
		}
		meta[own.Name] = value
		room -= len(own.Name) + len(value)
	}
}

// Info is the record that an object holds, as far as the object tells. ok
// says that one of our logs stored it; otherwise only Key (the stored one),
// Size, Time (when it was stored), Digest and the attributes are set.
func (o Objects) Info(obj store.Info) (info record.Info, ok bool) {
	info = record.Info{Key: obj.Key, Size: obj.Size, Time: obj.ModTime.UTC(), Digest: obj.Digest}
	own := map[string]string{}
	for name, value := range obj.Header {
		info.Attrs = append(info.Attrs, record.Attr{Name: name, Value: value})
	}
	for name, value := range obj.Meta {
		value = decode(value)
		if header, isHeader := strings.CutPrefix(name, metaHeader); isHeader {
			info.Attrs = append(info.Attrs, record.Attr{Name: header, Value: value})
		} else if strings.HasPrefix(name, MetaOwn) {
			own[name] = value
		} else {
			info.Attrs = append(info.Attrs, record.Attr{Name: userMeta + name, Value: value})
		}
	}
	if seq, err := strconv.ParseUint(own[MetaSeq], 10, 64); err == nil && seq > 0 {
		info.Seq, ok = record.Seq(seq), true
		o.recall(&info, own, obj.Key)
	}
	slices.SortFunc(info.Attrs, func(a, b record.Attr) int { return strings.Compare(a.Name, b.Name) })
	return info, ok
}

// recall is the inverse of describe.
func (o Objects) recall(info *record.Info, own map[string]string, stored string) {
	info.Bucket, info.Door, info.Source = own[MetaBucket], own[MetaDoor], own[MetaSource]
	if sent, ok := own[MetaKey]; ok {
		info.Key = sent
	} else if sent, ok := o.Sent(info.Bucket, stored); ok {
		info.Key = sent
	}
	if d, err := hex.DecodeString(own[MetaDigest]); err == nil && len(d) == len(info.Digest) {
		copy(info.Digest[:], d)
	}
	if at, err := time.Parse(time.RFC3339Nano, own[MetaTime]); err == nil {
		info.Time = at
	}
	for _, at := range []record.Attr{
		{Name: record.AttrMD5, Value: own[MetaMD5]},
		{Name: record.AttrChecksum, Value: own[MetaChecksum]},
		{Name: record.AttrFlag, Value: own[MetaFlag]},
	} {
		if at.Value != "" {
			info.Attrs = append(info.Attrs, at)
		}
	}
}

// join adds a header value; several of one name are one list, as HTTP has it.
func join(m map[string]string, name, value string) {
	if old, ok := m[name]; ok {
		value = old + "," + value
	}
	m[name] = value
}

// unfit reports a value that an HTTP header cannot carry unchanged.
func unfit(value string) bool {
	if strings.TrimSpace(value) != value {
		return true
	}
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			return true
		}
	}
	return false
}

func encode(value string) string {
	if unfit(value) || strings.HasPrefix(value, encoded) {
		return encoded + url.QueryEscape(value)
	}
	return value
}

func decode(value string) string {
	if escaped, ok := strings.CutPrefix(value, encoded); ok {
		if raw, err := url.QueryUnescape(escaped); err == nil {
			return raw
		}
	}
	return value
}
