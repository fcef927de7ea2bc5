package otlp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	marked     = "sk-MARKED-0123456789abcdef"
	jsonModel  = `{"key":"gen_ai.request.model","value":{"stringValue":"m"}}`
	jsonSecret = `{"key":"password","value":{"stringValue":"MARKED"}}`
	jsonMap    = `"kvlistValue":{"values":[` + jsonSecret + `]}`
)

// TestMasksAllOfAJSONItem has a credential in each place of an item and around it: also where nothing else is read, and where one of several members
// counts. No member of the record shows it.
func TestMasksAllOfAJSONItem(t *testing.T) {
	for name, members := range map[string]string{
		"the scope":                 `"attributes":[` + jsonModel + `]`,
		"the name":                  `"name":"GET /?key=` + marked + `","attributes":[` + jsonModel + `]`,
		"two kinds of value":        `"attributes":[` + jsonModel + `,{"key":"a","value":{` + jsonMap + `,"stringValue":"x"}}]`,
		"two values":                `"attributes":[` + jsonModel + `,{"key":"a","value":{"stringValue":"x"},"value":{` + jsonMap + `}}]`,
		"two keys":                  `"attributes":[` + jsonModel + `,{"key":"a","key":"password","value":{"stringValue":"MARKED"}}]`,
		"two keys, the other first": `"attributes":[` + jsonModel + `,{"key":"password","key":"a","value":{"stringValue":"MARKED"}}]`,
		"a link":                    `"attributes":[` + jsonModel + `],"links":[{"attributes":[` + jsonSecret + `]}]`,
		"an event's second list":    `"attributes":[` + jsonModel + `],"events":[{"attributes":[],"attributes":[` + jsonSecret + `]}]`,
		"two messages of a status":  `"attributes":[` + jsonModel + `],"status":{"message":"api_key=` + marked + `","message":"x"},"status":{"message":"y"}`,
		"a tag":                     `"attributes":[` + jsonModel + `,{"key":"tag.tags","value":{"stringValue":"api_key=` + marked + `"}}]`,
		"many events":               `"attributes":[` + jsonModel + `],"events":[` + strings.Repeat(`{"attributes":[`+jsonSecret+`]},`, maxEvents) + `{"attributes":[` + jsonSecret + `]}]`,
		"many attributes":           `"attributes":[` + strings.Repeat(jsonModel+`,`, maxAttributes) + jsonSecret + `]`,
	} {
		data := `{"resourceSpans":[{"resource":{"attributes":[` + strings.Repeat(jsonModel+`,`, maxAttributes) + jsonSecret + `]},"scopeSpans":[{"scope":{"attributes":[` + jsonSecret + `]},"spans":[{` + members + `}]}]}]}`
		if text := readAll(t, Traces, JSON, []byte(data))[0].AppendBody(nil); bytes.Contains(text, []byte("MARKED")) {
			t.Errorf("%s: %.1000s", name, text)
		}
	}
}

// TestMasksAllOfAnItem is the same in protobuf.
func TestMasksAllOfAnItem(t *testing.T) {
	field := func(number byte, parts ...[]byte) []byte {
		return protowire.AppendBytes([]byte{number<<3 | 2}, bytes.Join(parts, nil))
	}
	key, text := func(key string) []byte { return field(1, []byte(key)) }, func(text string) []byte { return field(1, []byte(text)) }
	keyValue := func(k, v string) []byte { return append(key(k), field(2, text(v))...) }
	secret := keyValue("password", "MARKED")
	var tags [][]byte
	for i := range mostLong + 8 {
		tags = append(tags, field(1, text(fmt.Sprintf("api_key=%s%04d", marked, i))))
	}
	for name, span := range map[string][]byte{
		"the scope":                   nil,
		"the name":                    field(5, []byte("GET /?key="+marked)),
		"two names":                   append(field(5, []byte("GET /?key="+marked)), field(5, []byte("x"))...),
		"two kinds of value":          field(9, key("a"), field(2, field(6, field(1, secret)), text("x"))),
		"two values":                  field(9, key("a"), field(2, field(6, field(1, secret))), field(2, text("x"))),
		"two keys":                    field(9, key("password"), keyValue("x", "MARKED")),
		"two keys in a map":           field(9, key("a"), field(2, field(6, field(1, key("password"), keyValue("x", "MARKED"))))),
		"a link":                      field(13, field(4, secret)),
		"two statuses":                append(field(15, field(2, []byte("api_key="+marked))), field(15, field(2, []byte("y")))...),
		"a tag":                       field(9, keyValue("tag.tags", "api_key="+marked)),
		"more tags than are replaced": field(9, key("tag.tags"), field(2, field(5, tags...))),
		"many events":                 bytes.Repeat(field(11, field(3, secret)), maxEvents+1),
		"many attributes of an event": field(11, bytes.Repeat(field(3, keyValue("x", "y")), maxEvents), field(3, secret)),
		"many attributes":             append(bytes.Repeat(field(9, keyValue("x", "y")), maxAttributes), field(9, secret)...),
	} {
		span = append(span, field(9, keyValue("gen_ai.request.model", "m"))...)
		resource := field(1, bytes.Repeat(field(1, keyValue("x", "y")), maxAttributes), field(1, secret))
		r := readAll(t, Traces, Protobuf, field(1, resource, field(2, field(1, field(3, secret)), field(2, span))))[0]
		b := bodyOf(t, r)
		if kept, _ := base64.StdEncoding.DecodeString(b.Base64); bytes.Contains(kept, []byte("MARKED")) || bytes.Contains(r.AppendBody(nil), []byte("MARKED")) {
			t.Errorf("%s: %.1000q\n%.1000s", name, kept, r.AppendBody(nil))
		}
	}
}
