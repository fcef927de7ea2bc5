package s3api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// lister is one version of the list.
type lister = func(params ...string) page

// rolled is a case that lists keys by a delimiter and says what is seen.
func rolled(name string, keys []string, params, wantKeys, wantPrefixes []string) []conformanceCase {
	return both(name, func(c *s3Client, list lister) {
		c.keys(keys...)
		p := list(params...)
		c.shows(p, wantKeys, wantPrefixes)
		for i := 0; i < len(params); i += 2 {
			switch params[i] {
			case "delimiter":
				if p.Delimiter == nil || *p.Delimiter != params[i+1] {
					c.errorf("the delimiter is not echoed")
				}
			case "prefix":
				c.eq("Prefix", p.Prefix, params[i+1])
			}
		}
	})
}

func listCases() []conformanceCase {
	foo := []string{"foo/bar", "foo/bar/xyzzy", "quux/thud", "asdf"}
	bar := []string{"bar", "baz", "cab", "foo"}
	pre := []string{"foo/bar", "foo/baz", "quux"}
	return slices.Concat(
		both("empty", func(c *s3Client, list lister) { c.shows(list(), nil, nil) }),
		rolled("delimiter_basic", foo, []string{"delimiter", "/"}, []string{"asdf"}, []string{"foo/", "quux/"}),
		rolled("delimiter_alt", bar, []string{"delimiter", "a"}, []string{"foo"}, []string{"ba", "ca"}),
		rolled("delimiter_percentage", []string{"b%ar", "b%az", "c%ab", "foo"}, []string{"delimiter", "%"}, []string{"foo"}, []string{"b%", "c%"}),
		rolled("delimiter_whitespace", []string{"b ar", "b az", "c ab", "foo"}, []string{"delimiter", " "}, []string{"foo"}, []string{"b ", "c "}),
		rolled("delimiter_dot", []string{"b.ar", "b.az", "c.ab", "foo"}, []string{"delimiter", "."}, []string{"foo"}, []string{"b.", "c."}),
		rolled("delimiter_unreadable", bar, []string{"delimiter", "\n"}, bar, nil),
		rolled("delimiter_not_exist", bar, []string{"delimiter", "/"}, bar, nil),
		rolled("delimiter_prefix_ends_with_delimiter", []string{"asdf/"}, []string{"delimiter", "/", "prefix", "asdf/"}, []string{"asdf/"}, nil),
		rolled("prefix_basic", pre, []string{"prefix", "foo/"}, []string{"foo/bar", "foo/baz"}, nil),
		rolled("prefix_alt", []string{"bar", "baz", "foo"}, []string{"prefix", "ba"}, []string{"bar", "baz"}, nil),
		rolled("prefix_empty", pre, []string{"prefix", ""}, pre, nil),
		rolled("prefix_none", pre, nil, pre, nil),
		rolled("prefix_not_exist", pre, []string{"prefix", "d"}, nil, nil),
		rolled("prefix_unreadable", pre, []string{"prefix", "\n"}, nil, nil),
		rolled("prefix_delimiter_basic", []string{"foo/bar", "foo/baz/xyzzy", "quux/thud", "asdf"}, []string{"prefix", "foo/", "delimiter", "/"}, []string{"foo/bar"}, []string{"foo/baz/"}),
		rolled("prefix_delimiter_alt", []string{"bar", "bazar", "cab", "foo"}, []string{"prefix", "ba", "delimiter", "a"}, []string{"bar"}, []string{"baza"}),
		rolled("prefix_delimiter_prefix_not_exist", []string{"b/a/r", "b/a/c", "b/a/g", "g"}, []string{"prefix", "/", "delimiter", "d"}, nil, nil),
		rolled("prefix_delimiter_delimiter_not_exist", []string{"b/a/c", "b/a/g", "b/a/r", "g"}, []string{"prefix", "b", "delimiter", "z"}, []string{"b/a/c", "b/a/g", "b/a/r"}, nil),
		rolled("prefix_delimiter_prefix_delimiter_not_exist", []string{"b/a/c", "g"}, []string{"prefix", "y", "delimiter", "z"}, nil, nil),
		rolled("special_prefix", []string{"_bla/1", "_bla/2", "_bla/3", "_bla/4", "abcd"}, []string{"prefix", "_bla/"}, []string{"_bla/1", "_bla/2", "_bla/3", "_bla/4"}, nil),
		listAbsence(), listPaging(), listDetails())
}

func listAbsence() []conformanceCase {
	bar := []string{"bar", "baz", "cab", "foo"}
	return slices.Concat(
		both("delimiter_empty", func(c *s3Client, list lister) {
			c.keys(bar...)
			p := list("delimiter", "")
			c.shows(p, bar, nil)
			if p.Delimiter != nil {
				c.errorf("an empty delimiter is echoed")
			}
		}),
		both("delimiter_none", func(c *s3Client, list lister) {
			c.keys(bar...)
			p := list()
			c.shows(p, bar, nil)
			if p.Delimiter != nil {
				c.errorf("a delimiter is echoed")
			}
		}),
		both("distinct", func(c *s3Client, list lister) {
			other := *c
			other.bucket += "-other"
			other.call("PUT", "", nil, "")
			other.keys("asdf")
			c.shows(list(), nil, nil)
		}),
		both("maxkeys_zero", func(c *s3Client, list lister) {
			c.keys(bar...)
			p := list("max-keys", "0")
			c.shows(p, nil, nil)
			c.eq("IsTruncated", p.IsTruncated, false)
		}),
		both("maxkeys_none", func(c *s3Client, list lister) {
			c.keys(bar...)
			p := list()
			c.shows(p, bar, nil)
			c.eq("IsTruncated", p.IsTruncated, false)
			c.eq("MaxKeys", p.MaxKeys, 1000)
		}),
		both("maxkeys_invalid", func(c *s3Client, list lister) {
			c.refused(c.call("GET", "", url.Values{"max-keys": {"blah"}}, ""), 400, "InvalidArgument")
		}),
		both("maxkeys_negative", func(c *s3Client, list lister) {
			c.refused(c.call("GET", "", url.Values{"max-keys": {"-1"}}, ""), 400, "InvalidArgument")
		}),
		both("encoding_invalid", func(c *s3Client, list lister) {
			c.refused(c.call("GET", "", url.Values{"encoding-type": {"base64"}}, ""), 400, "InvalidArgument")
		}),
	)
}

// walk pages through a list, with the position of one version.
func walk(c *s3Client, v2 bool, prefix string, size int, want ...[2][]string) {
	position := ""
	for i, rows := range want {
		params := []string{"prefix", prefix, "delimiter", "/", "max-keys", fmt.Sprint(size)}
		switch {
		case v2 && position != "":
			params = append(params, "list-type", "2", "continuation-token", position)
		case v2:
			params = append(params, "list-type", "2", "start-after", "")
		default:
			params = append(params, "marker", position)
		}
		p := c.list(params...)
		c.shows(p, rows[0], rows[1])
		last := i == len(want)-1
		c.eq("IsTruncated", p.IsTruncated, !last)
		if position = p.NextMarker; v2 {
			position = p.NextContinuationToken
		} else if names := slices.Concat(rows[0], rows[1]); !last {
			c.eq("NextMarker", position, slices.Max(names))
		}
		if last != (position == "") {
			c.errorf("page %d: the next position is %q", i, position)
		}
	}
}

func listPaging() []conformanceCase {
	type rows = [2][]string
	one := func(keys []string, prefixes ...string) rows { return rows{keys, prefixes} }
	pagedBy := func(v2 bool) func(c *s3Client) {
		return func(c *s3Client) {
			c.keys("asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla")
			walk(c, v2, "", 1, one([]string{"asdf"}), one(nil, "boo/"), one(nil, "cquux/"))
			walk(c, v2, "", 2, one([]string{"asdf"}, "boo/"), one(nil, "cquux/"))
			walk(c, v2, "boo/", 1, one([]string{"boo/bar"}), one(nil, "boo/baz/"))
			walk(c, v2, "boo/", 2, one([]string{"boo/bar"}, "boo/baz/"))
		}
	}
	underscore := func(v2 bool) func(c *s3Client) {
		return func(c *s3Client) {
			c.keys("_obj1_", "_under1/bar", "_under1/baz/xyzzy", "_under2/thud", "_under2/bla")
			walk(c, v2, "", 1, one([]string{"_obj1_"}), one(nil, "_under1/"), one(nil, "_under2/"))
			walk(c, v2, "", 2, one([]string{"_obj1_"}, "_under1/"), one(nil, "_under2/"))
			walk(c, v2, "_under1/", 1, one([]string{"_under1/bar"}), one(nil, "_under1/baz/"))
			walk(c, v2, "_under1/", 2, one([]string{"_under1/bar"}, "_under1/baz/"))
		}
	}
	four := []string{"bar", "baz", "foo", "quxx"}
	after := func(name string, v2 bool, position string, want []string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.keys(four...)
			params := []string{"marker", position}
			if v2 {
				params = []string{"list-type", "2", "start-after", position}
			}
			p := c.list(params...)
			c.shows(p, want, nil)
			c.eq("IsTruncated", p.IsTruncated, false)
			if v2 {
				c.eq("StartAfter", p.StartAfter, position)
			} else if p.Marker == nil || *p.Marker != position {
				c.errorf("the marker is not echoed")
			}
		}}
	}
	return []conformanceCase{
		{"bucket_list_delimiter_prefix", pagedBy(false)},
		{"bucket_listv2_delimiter_prefix", pagedBy(true)},
		{"bucket_list_delimiter_prefix_underscore", underscore(false)},
		{"bucket_listv2_delimiter_prefix_underscore", underscore(true)},
		after("bucket_list_marker_none", false, "", four),
		after("bucket_list_marker_unreadable", false, "\n", four),
		after("bucket_list_marker_not_in_list", false, "blah", []string{"foo", "quxx"}),
		after("bucket_list_marker_after_list", false, "zzz", nil),
		after("bucket_listv2_startafter_unreadable", true, "\n", four),
		after("bucket_listv2_startafter_not_in_list", true, "blah", []string{"foo", "quxx"}),
		after("bucket_listv2_startafter_after_list", true, "zzz", nil),
		{"bucket_list_many", func(c *s3Client) {
			c.keys("foo", "bar", "baz")
			p := c.list("max-keys", "2")
			c.shows(p, []string{"bar", "baz"}, nil)
			c.eq("IsTruncated", p.IsTruncated, true)
			p = c.list("max-keys", "2", "marker", "baz")
			c.shows(p, []string{"foo"}, nil)
			c.eq("IsTruncated", p.IsTruncated, false)
		}},
		{"bucket_listv2_many", func(c *s3Client) {
			c.keys("foo", "bar", "baz")
			p := c.list("list-type", "2", "max-keys", "2")
			c.shows(p, []string{"bar", "baz"}, nil)
			c.eq("IsTruncated", p.IsTruncated, true)
			p = c.list("list-type", "2", "max-keys", "2", "start-after", "baz")
			c.shows(p, []string{"foo"}, nil)
			c.eq("IsTruncated", p.IsTruncated, false)
		}},
		{"bucket_list_maxkeys_one", func(c *s3Client) {
			c.keys(four...)
			p := c.list("max-keys", "1")
			c.shows(p, four[:1], nil)
			c.eq("IsTruncated", p.IsTruncated, true)
			c.shows(c.list("marker", four[0]), four[1:], nil)
		}},
		{"bucket_listv2_maxkeys_one", func(c *s3Client) {
			c.keys(four...)
			p := c.list("list-type", "2", "max-keys", "1")
			c.shows(p, four[:1], nil)
			c.eq("IsTruncated", p.IsTruncated, true)
			c.shows(c.list("list-type", "2", "start-after", four[0]), four[1:], nil)
		}},
		{"bucket_listv2_continuationtoken_empty", func(c *s3Client) {
			c.keys(four...)
			p := c.list("list-type", "2", "continuation-token", "")
			c.shows(p, four, nil)
			if p.ContinuationToken == nil || *p.ContinuationToken != "" {
				c.errorf("the empty token is not echoed")
			}
		}},
		{"bucket_listv2_continuationtoken", func(c *s3Client) {
			c.keys(four...)
			token := c.list("list-type", "2", "max-keys", "1").NextContinuationToken
			p := c.list("list-type", "2", "continuation-token", token)
			c.shows(p, four[1:], nil)
			if p.ContinuationToken == nil || *p.ContinuationToken != token {
				c.errorf("the token is not echoed")
			}
		}},
		{"bucket_listv2_both_continuationtoken_startafter", func(c *s3Client) {
			c.keys(four...)
			token := c.list("list-type", "2", "start-after", "bar", "max-keys", "1").NextContinuationToken
			p := c.list("list-type", "2", "start-after", "bar", "continuation-token", token)
			c.shows(p, four[2:], nil)
			c.eq("StartAfter", p.StartAfter, "bar")
		}},
		{"bucket_list_delimiter_not_skip_special", func(c *s3Client) {
			c.keys("0/")
			for i := range 99 {
				c.keys(fmt.Sprintf("0/%d", 1000+i))
			}
			c.keys("1999", "1999#", "1999+", "2000")
			c.shows(c.list("delimiter", "/"), []string{"1999", "1999#", "1999+", "2000"}, []string{"0/"})
		}},
	}
}

func listDetails() []conformanceCase {
	return []conformanceCase{
		{"bucket_list_encoding_basic", func(c *s3Client) {
			c.keys("foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b")
			c.shows(c.raw("delimiter", "/", "encoding-type", "url"), []string{"asdf%2Bb"}, []string{"foo%2B1/", "foo/", "quux%20ab/"})
		}},
		{"bucket_listv2_encoding_basic", func(c *s3Client) {
			c.keys("foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b")
			c.shows(c.raw("list-type", "2", "delimiter", "/", "encoding-type", "url"), []string{"asdf%2Bb"}, []string{"foo%2B1/", "foo/", "quux%20ab/"})
		}},
		{"bucket_list_return_data", func(c *s3Client) {
			c.keys("bar", "baz", "foo")
			for _, o := range c.list().Contents {
				h := c.call("HEAD", o.Key, nil, "")
				c.eq("ETag", o.ETag, h.header.Get("Etag"))
				c.eq("Size", fmt.Sprint(o.Size), h.header.Get("Content-Length"))
				if o.Owner == nil || o.Owner.ID == "" {
					c.errorf("no owner")
				}
				if !strings.HasSuffix(o.LastModified, "Z") || o.StorageClass != "STANDARD" {
					c.errorf("%+v", o)
				}
			}
		}},
		{"bucket_listv2_fetchowner_notempty", func(c *s3Client) {
			c.keys("foo/bar")
			if p := c.list("list-type", "2", "fetch-owner", "true"); p.Contents[0].Owner == nil {
				c.errorf("no owner")
			}
		}},
		{"bucket_listv2_fetchowner_defaultempty", func(c *s3Client) {
			c.keys("foo/bar")
			if p := c.list("list-type", "2"); p.Contents[0].Owner != nil {
				c.errorf("an owner")
			}
		}},
		{"bucket_listv2_fetchowner_empty", func(c *s3Client) {
			c.keys("foo/bar")
			if p := c.list("list-type", "2", "fetch-owner", "false"); p.Contents[0].Owner != nil {
				c.errorf("an owner")
			}
		}},
		{"bucket_create_special_key_names", func(c *s3Client) {
			names := []string{" ", `"`, "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__"}
			c.keys(names...)
			c.shows(c.list(), names, nil)
			c.shows(c.raw(), names, nil)
			for _, n := range names {
				c.holds(n, n)
			}
		}},
	}
}
