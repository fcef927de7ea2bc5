package term

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"head x/nosuch: unreachable: dial tcp 127.0.0.1:1: connect: connection refused":                                                                                          "127.0.0.1:1 refuses the connection",
		"what is stored could not be listed: list x/_sent/: unreachable: dial tcp [::1]:9: connect: connection refused (see status)":                                             "what is stored could not be listed: [::1]:9 refuses the connection (see status)",
		"open log vm-1: get x/_indelible/vm-1/checkpoint: unreachable: dial tcp 127.0.0.1:1: connect: connection refused":                                                        "127.0.0.1:1 refuses the connection",
		"list : unreachable: dial tcp: lookup nohost.invalid on 10.0.0.2:53: no such host":                                                                                       "there is no host nohost.invalid",
		`operation error S3: HeadObject, https response error StatusCode: 0, RequestID: , HostID: , request send failed, Head "https://x/y": dial tcp 10.0.0.1:443: i/o timeout`: "10.0.0.1:443 does not answer",
		"put a/b: ambiguous: context deadline exceeded":                                                                                                                          "no answer came in time",
		"accept tcp 127.0.0.1:9000: accept4: too many open files":                                                                                                                "accept tcp 127.0.0.1:9000: accept4: too many open files (raise the limit: ulimit -n, LimitNOFILE of the unit)",
		"get k: unreachable: tls: failed to verify certificate: x509: expired":                                                                                                   "its certificate is not trusted: expired",
		"put a/b: credentials: AccessDenied (403): credentials: api error: no":                                                                                                   "put a/b: credentials: AccessDenied (403): credentials: api error: no",
		`no such record: "get it: done"`: `no such record: "get it: done"`,
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}
