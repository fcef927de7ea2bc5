package s3api_test

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

func rangeCases() []conformanceCase {
	part := func(name, content, header, want, contentRange string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("testobj", content)
			a := c.get("testobj", "Range", header)
			c.eq("status", a.status, 206)
			c.eq("body", len(a.body), len(want))
			c.eq("same", a.body == want, true)
			c.eq("Content-Range", a.header.Get("Content-Range"), contentRange)
			h := c.call("HEAD", "testobj", nil, "", "Range", header)
			c.eq("HEAD status", h.status, 206)
		}}
	}
	none := func(name, content, header string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("testobj", content)
			c.refused(c.get("testobj", "Range", header), 416, "InvalidRange")
		}}
	}
	whole := func(name, header string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("testobj", "testcontent")
			a := c.get("testobj", "Range", header)
			c.eq("status", a.status, 200)
			c.eq("body", a.body, "testcontent")
		}}
	}
	big := strings.Repeat("0123456789abcdef", 512<<10)
	return []conformanceCase{
		part("ranged_request_response_code", "testcontent", "bytes=4-7", "cont", "bytes 4-7/11"),
		part("ranged_big_request_response_code", big, "bytes=3145728-5242880", big[3145728:5242881], "bytes 3145728-5242880/8388608"),
		part("ranged_request_skip_leading_bytes_response_code", "testcontent", "bytes=4-", "content", "bytes 4-10/11"),
		part("ranged_request_return_trailing_bytes_response_code", "testcontent", "bytes=-7", "content", "bytes 4-10/11"),
		part("ranged_request_past_end", "testcontent", "bytes=4-100", "content", "bytes 4-10/11"),
		part("ranged_request_longer_suffix", "testcontent", "bytes=-100", "testcontent", "bytes 0-10/11"),
		none("ranged_request_invalid_range", "testcontent", "bytes=40-50"),
		none("ranged_request_empty_object", "", "bytes=40-50"),
		none("ranged_request_zero_suffix", "testcontent", "bytes=-0"),
		whole("ranged_request_malformed", "bytes=a-b"),
		whole("ranged_request_reversed", "bytes=7-4"),
		{"ranged_request_part_number", func(c *s3Client) {
			c.put("testobj", "testcontent")
			a := c.call("GET", "testobj", url.Values{"partNumber": {"1"}}, "")
			c.eq("status", a.status, 206)
			c.eq("body", a.body, "testcontent")
		}},
	}
}

const longAgo, farOff = "Sat, 29 Oct 1994 19:43:31 GMT", "Sat, 29 Oct 2100 19:43:31 GMT"

func conditionCases() []conformanceCase {
	fooTag := `"acbd18db4cc2f85cedef654fccc4a4d8"`
	ok := func(name string, headers ...string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("foo", "foo")
			a := c.get("foo", headers...)
			c.eq("status", a.status, 200)
			c.eq("body", a.body, "foo")
		}}
	}
	failed := func(name string, headers ...string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("foo", "foo")
			c.refused(c.get("foo", headers...), 412, "PreconditionFailed")
			c.eq("HEAD status", c.call("HEAD", "foo", nil, "", headers...).status, 412)
		}}
	}
	unchanged := func(name string, headers ...string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("foo", "foo")
			a := c.get("foo", headers...)
			c.eq("status", a.status, 304)
			c.eq("body", a.body, "")
			c.eq("ETag", a.header.Get("Etag"), fooTag)
		}}
	}
	put := func(name string, before bool, status int, code, after string, headers ...string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			if before {
				c.put("foo", "bar")
			}
			a := c.call("PUT", "foo", nil, "zar", headers...)
			c.eq("status", a.status, status)
			c.eq("code", a.code, code)
			if after == "" {
				c.refused(c.get("foo"), 404, "NoSuchKey")
				return
			}
			c.holds("foo", after)
		}}
	}
	barTag := "37b51d194a7513e45b56f6524f2d51f2"
	return []conformanceCase{
		ok("get_object_ifmatch_good", "If-Match", fooTag),
		failed("get_object_ifmatch_failed", "If-Match", `"ABCORZ"`),
		unchanged("get_object_ifnonematch_good", "If-None-Match", fooTag),
		ok("get_object_ifnonematch_failed", "If-None-Match", `"ABCORZ"`),
		ok("get_object_ifmodifiedsince_good", "If-Modified-Since", longAgo),
		{"get_object_ifmodifiedsince_failed", func(c *s3Client) {
			c.put("foo", "foo")
			modified, err := http.ParseTime(c.get("foo").header.Get("Last-Modified"))
			if err != nil {
				c.fatalf("%v", err)
			}
			a := c.get("foo", "If-Modified-Since", modified.Format(http.TimeFormat))
			c.eq("status", a.status, 304)
			c.eq("ETag", a.header.Get("Etag"), fooTag)
		}},
		failed("get_object_ifunmodifiedsince_good", "If-Unmodified-Since", longAgo),
		ok("get_object_ifunmodifiedsince_failed", "If-Unmodified-Since", farOff),
		ok("get_object_ifmatch_overrules_ifunmodifiedsince", "If-Match", fooTag, "If-Unmodified-Since", longAgo),
		unchanged("get_object_ifnonematch_overrules_ifmodifiedsince", "If-None-Match", fooTag, "If-Modified-Since", longAgo),
		failed("get_object_ifmatch_before_ifnonematch", "If-Match", `"ABCORZ"`, "If-None-Match", fooTag),
		ok("get_object_ifmatch_list", "If-Match", `"ABCORZ", `+fooTag),
		{"get_object_range_and_ifmatch", func(c *s3Client) {
			c.put("foo", "foo")
			c.eq("status", c.get("foo", "If-Match", fooTag, "Range", "bytes=1-1").status, 206)
			c.eq("status", c.get("foo", "If-Match", `"no"`, "Range", "bytes=9-").status, 412)
		}},
		put("put_object_ifmatch_good", true, 200, "", "zar", "If-Match", barTag),
		put("put_object_ifmatch_failed", true, 412, "PreconditionFailed", "bar", "If-Match", `"ABCORZ"`),
		put("put_object_ifmatch_overwrite_existed_good", true, 200, "", "zar", "If-Match", "*"),
		put("put_object_ifmatch_nonexisted_failed", false, 404, "NoSuchKey", "", "If-Match", "*"),
		put("put_object_ifnonmatch_good", true, 200, "", "zar", "If-None-Match", "ABCORZ"),
		put("put_object_ifnonmatch_failed", true, 412, "PreconditionFailed", "bar", "If-None-Match", barTag),
		put("put_object_ifnonmatch_nonexisted_good", false, 200, "", "zar", "If-None-Match", "*"),
		put("put_object_ifnonmatch_overwrite_existed_failed", true, 412, "PreconditionFailed", "bar", "If-None-Match", "*"),
	}
}

func metadataCases() []conformanceCase {
	meta := func(name, value string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("foo", "bar", "X-Amz-Meta-Meta1", value)
			h := c.get("foo").header
			c.eq("there", len(h["X-Amz-Meta-Meta1"]), 1)
			c.eq("meta1", h.Get("X-Amz-Meta-Meta1"), value)
		}}
	}
	encoding := func(name, sent, want string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.put("foo", "", "Content-Encoding", sent)
			c.eq("Content-Encoding", c.call("HEAD", "foo", nil, "").header.Get("Content-Encoding"), want)
		}}
	}
	return []conformanceCase{
		meta("object_set_get_metadata_none_to_good", "mymeta"),
		meta("object_set_get_metadata_none_to_empty", ""),
		meta("object_set_get_unicode_metadata", "Hello World\xc3\xa9"),
		{"object_set_get_metadata_overwrite_to_empty", func(c *s3Client) {
			c.put("foo", "bar", "X-Amz-Meta-Meta1", "oldmeta")
			c.put("foo", "baz", "X-Amz-Meta-Meta1", "")
			h := c.get("foo").header
			c.eq("there", len(h["X-Amz-Meta-Meta1"]), 1)
			c.eq("meta1", h.Get("X-Amz-Meta-Meta1"), "")
		}},
		{"object_metadata_replaced_on_put", func(c *s3Client) {
			c.put("foo", "bar", "X-Amz-Meta-Meta1", "bar")
			c.put("foo", "baz")
			c.eq("meta1", len(c.get("foo").header["X-Amz-Meta-Meta1"]), 0)
		}},
		{"object_write_cache_control", func(c *s3Client) {
			c.put("foo", "bar", "Cache-Control", "public, max-age=14400")
			c.eq("Cache-Control", c.call("HEAD", "foo", nil, "").header.Get("Cache-Control"), "public, max-age=14400")
		}},
		{"object_write_expires", func(c *s3Client) {
			c.put("foo", "bar", "Expires", farOff)
			c.eq("Expires", c.call("HEAD", "foo", nil, "").header.Get("Expires"), farOff)
		}},
		{"object_write_content_headers", func(c *s3Client) {
			c.put("foo", "bar", "Content-Type", "application/json", "Content-Disposition", `inline; filename="a.json"`, "Content-Language", "en")
			h := c.get("foo").header
			c.eq("Content-Type", h.Get("Content-Type"), "application/json")
			c.eq("Content-Disposition", h.Get("Content-Disposition"), `inline; filename="a.json"`)
			c.eq("Content-Language", h.Get("Content-Language"), "en")
		}},
		{"object_default_content_type", func(c *s3Client) {
			c.put("foo", "<html>")
			c.eq("Content-Type", c.get("foo").header.Get("Content-Type"), "binary/octet-stream")
		}},
		{"object_head_zero_bytes", func(c *s3Client) {
			c.put("foo", "")
			c.eq("Content-Length", c.call("HEAD", "foo", nil, "").header.Get("Content-Length"), "0")
		}},
		{"object_write_check_etag", func(c *s3Client) {
			c.eq("ETag", c.put("foo", "bar").header.Get("Etag"), `"37b51d194a7513e45b56f6524f2d51f2"`)
		}},
		{"object_write_read_update_read", func(c *s3Client) {
			c.put("foo", "bar")
			c.holds("foo", "bar")
			c.put("foo", "soup")
			c.holds("foo", "soup")
		}},
		{"object_raw_response_headers", func(c *s3Client) {
			c.put("foo", "bar")
			want := map[string]string{"Cache-Control": "no-cache", "Content-Disposition": "bla", "Content-Encoding": "aaa",
				"Content-Language": "esperanto", "Content-Type": "foo/bar", "Expires": farOff}
			q := url.Values{}
			for name, v := range want {
				q.Set("response-"+strings.ToLower(name), v)
			}
			a := c.call("GET", "foo", q, "")
			for name, v := range want {
				c.eq(name, a.header.Get(name), v)
			}
		}},
		encoding("object_content_encoding_gzip", "gzip", "gzip"),
		encoding("object_content_encoding_list", "deflate, gzip", "deflate, gzip"),
		encoding("object_content_encoding_chunked_last", "gzip, aws-chunked", "gzip"),
		encoding("object_content_encoding_chunked_first", "aws-chunked, gzip", "gzip"),
		encoding("object_content_encoding_aws_chunked", "aws-chunked", ""),
		{"object_checksum_sha256", func(c *s3Client) {
			sum := "/N4rLtula1eIIbe4QhLyeW+/UDLqm6dTPCF1AE2i9eQ="
			a := c.put("foo", "bar", "X-Amz-Checksum-Sha256", "/N4rLtula/QIYB+3If6bXDONEO5CnqBPrlURto+/j7k=")
			c.eq("PUT", a.header.Get("X-Amz-Checksum-Sha256"), "/N4rLtula/QIYB+3If6bXDONEO5CnqBPrlURto+/j7k=")
			h := c.call("HEAD", "foo", nil, "", "X-Amz-Checksum-Mode", "ENABLED").header
			c.eq("HEAD", h.Get("X-Amz-Checksum-Sha256"), "/N4rLtula/QIYB+3If6bXDONEO5CnqBPrlURto+/j7k=")
			if a := c.call("PUT", "foo", nil, "bar", "X-Amz-Checksum-Sha256", sum); a.status < 400 {
				c.errorf("a wrong checksum: %d", a.status)
			}
		}},
		{"object_last_modified", func(c *s3Client) {
			c.put("foo", "bar")
			t, err := http.ParseTime(c.get("foo").header.Get("Last-Modified"))
			if err != nil || time.Since(t).Abs() > time.Minute {
				c.errorf("%v %v", t, err)
			}
		}},
	}
}

func nameCases() []conformanceCase {
	create := func(name, bucket string, status int, code string) conformanceCase {
		return conformanceCase{name, func(c *s3Client) {
			c.bucket = bucket
			a := c.call("PUT", "", nil, "")
			c.eq("status", a.status, status)
			c.eq("code", a.code, code)
		}}
	}
	return []conformanceCase{
		create("bucket_create_naming_bad_starts_nonalpha", "_names-foo", 400, "InvalidBucketName"),
		create("bucket_create_naming_bad_short_one", "a", 400, "InvalidBucketName"),
		create("bucket_create_naming_bad_short_two", "aa", 400, "InvalidBucketName"),
		create("bucket_create_naming_bad_ip", "192.168.5.123", 400, "InvalidBucketName"),
		create("bucket_create_naming_dns_underscore", "foo_bar", 400, "InvalidBucketName"),
		create("bucket_create_naming_dns_dash_at_end", "foo-", 400, "InvalidBucketName"),
		create("bucket_create_naming_dns_dot_dot", "foo..bar", 400, "InvalidBucketName"),
		create("bucket_create_naming_dns_dot_dash", "foo.-bar", 400, "InvalidBucketName"),
		create("bucket_create_naming_dns_dash_dot", "foo-.bar", 400, "InvalidBucketName"),
		create("bucket_create_naming_good_starts_digit", "0-names-foo", 200, ""),
		create("bucket_create_naming_good_contains_period", "aaa.111", 200, ""),
		create("bucket_create_naming_good_contains_hyphen", "aaa-111", 200, ""),
		create("bucket_create_naming_good_long_63", strings.Repeat("n", 63), 200, ""),
		{"object_read_not_exist", func(c *s3Client) { c.refused(c.get("bar"), 404, "NoSuchKey") }},
		{"object_requestid_matches_header_on_error", func(c *s3Client) {
			a := c.get("bar")
			if id := a.header.Get("X-Amz-Request-Id"); id == "" || !strings.Contains(a.body, "<RequestId>"+id+"</RequestId>") {
				c.errorf("request id %q in %s", id, a.body)
			}
		}},
		{"bucket_head", func(c *s3Client) { c.eq("status", c.call("HEAD", "", nil, "").status, 200) }},
		{"bucket_location", func(c *s3Client) {
			a := c.call("GET", "", url.Values{"location": {""}}, "")
			c.eq("status", a.status, 200)
			c.eq("document", strings.Contains(a.body, "<LocationConstraint"), true)
		}},
		{"bucket_versioning_unset", func(c *s3Client) {
			a := c.call("GET", "", url.Values{"versioning": {""}}, "")
			c.eq("status", a.status, 200)
			c.eq("enabled", strings.Contains(a.body, "<Status>"), false)
		}},
	}
}
