package otlp

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// dropped is what the sender's SDK says that it had dropped before it sent the item, because of its limits.
type dropped struct {
	attributes uint64 // of the item, its events and its links
	events     uint64
	links      uint64
	around     uint64 // attributes of the resource and of the scope
}

// append appends the member that tells of it; nothing where nothing was dropped.
func (d dropped) append(o *object) {
	if d == (dropped{}) {
		return
	}
	o.name("dropped")
	o.b = append(o.b, '{')
	for _, n := range [...]struct {
		name  string
		count uint64
	}{{"attributes", d.attributes}, {"events", d.events}, {"links", d.links}, {"around", d.around}} {
		if n.count > 0 {
			o.name(n.name)
			o.b = strconv.AppendUint(o.b, n.count, 10)
		}
	}
	o.b = append(o.b, '}')
}

// Names of the counts in OTLP/JSON.
const (
	droppedAttributes = "droppedAttributesCount"
	droppedEvents     = "droppedEventsCount"
	droppedLinks      = "droppedLinksCount"
)

// count32 is a count as protobuf has it: what is more than 32 bits is cut as every parser does.
func (f *field) count32() uint64 { return uint64(uint32(f.num)) }

// droppedJSON is the count of an object, of which the last one counts.
func droppedJSON(v gjson.Result) (n uint64) {
	if !v.IsObject() {
		return 0
	}
	v.ForEach(func(key, count gjson.Result) bool {
		if key.Str == droppedAttributes {
			n = unsigned32(count)
		}
		return true
	})
	return n
}

func unsigned32(v gjson.Result) uint64 { return uint64(uint32(unsigned(v))) }
