package capture

import "github.com/tidwall/gjson"

// object is a JSON object whose members are found in one pass over it: events are short, many, and asked for
// a dozen members each.
type object struct {
	all    gjson.Result
	n      int
	names  [objectMembers]string
	values [objectMembers]gjson.Result
}

// objectMembers is how many members are remembered; further ones are looked for.
const objectMembers = 12

// read takes j's members in place of what was there.
func (o *object) read(j gjson.Result) *object {
	o.all, o.n = j, 0
	if j.IsObject() {
		j.ForEach(func(name, v gjson.Result) bool {
			o.names[o.n], o.values[o.n] = name.Str, v
			o.n++
			return o.n < objectMembers
		})
	}
	return o
}

// get is the first member of that name; none is a Result that does not exist.
func (o *object) get(name string) gjson.Result {
	for i := range o.n {
		if o.names[i] == name {
			return o.values[i]
		}
	}
	if o.n == objectMembers {
		return o.all.Get(name)
	}
	return gjson.Result{}
}
