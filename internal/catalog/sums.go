package catalog

import (
	"slices"
	"strconv"
	"time"

	"indelible/internal/query/filter"
	"indelible/internal/query/index"
)

// maxGroups bounds how many sums are kept in memory.
const maxGroups = 100_000

// grouping sums up calls by some dimensions. Nothing is allocated for a call whose group is there.
type grouping struct {
	by     []string
	groups map[string]*index.Sum
	full   bool // there were more than maxGroups

	values []string // of the call that is added
	key    []byte
	day    int64 // since 1970, of the call before
	date   string
}

func newGrouping(by []string) *grouping {
	return &grouping{by: by, groups: map[string]*index.Sum{}, values: make([]string, len(by)), day: -1}
}

// call adds one call. It is false once there are too many groups.
func (g *grouping) call(r *filter.Row) bool {
	for i, name := range g.by {
		if name == index.Day {
			g.values[i] = g.dateOf(r.Time)
		} else {
			g.values[i] = index.DimensionOf(r, name)
		}
	}
	one := index.Sum{By: g.values, Calls: 1}
	f := &r.Fields
	if f.TokensIn != nil {
		one.TokensIn = *f.TokensIn
	}
	if f.TokensOut != nil {
		one.TokensOut = *f.TokensOut
	}
	if f.Cost != nil {
		one.Cost = *f.Cost
	}
	return g.add(one)
}

// dateOf is index.DimensionOf for a day, which most calls share with the one before.
func (g *grouping) dateOf(at time.Time) string {
	if day := at.Unix() / 86400; day != g.day || day <= 0 {
		g.day, g.date = day, at.UTC().Format(time.DateOnly)
	}
	return g.date
}

// add adds a sum, whose By is the caller's again. It is false once there are too many groups.
func (g *grouping) add(one index.Sum) bool {
	g.key = g.key[:0]
	for _, value := range one.By {
		g.key = append(strconv.AppendInt(g.key, int64(len(value)), 10), ':')
		g.key = append(g.key, value...)
	}
	group := g.groups[string(g.key)]
	if group == nil {
		if g.full = len(g.groups) >= maxGroups; g.full {
			return false
		}
		group = &index.Sum{By: slices.Clone(one.By)}
		g.groups[string(g.key)] = group
	}
	group.Add(one)
	return true
}

// sorted is what there is, in the order of the values.
func (g *grouping) sorted() []index.Sum {
	var sums []index.Sum
	for _, one := range g.groups {
		sums = append(sums, *one)
	}
	slices.SortFunc(sums, func(a, b index.Sum) int { return slices.Compare(a.By, b.By) })
	return sums
}
