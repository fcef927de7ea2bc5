package term

import "regexp"

// chain is how our packages and the SDK lead to the cause of a failed request: each step's name
// and key, and the class of the error. People need the cause.
const chain = `(?:(?:get|put|head|list|open|ask|read|publish|add) [^ :]*(?: [^ :]+)?: |operation error [^,]+, |exceeded maximum number of attempts, \d+, |https response error StatusCode: 0, RequestID: [^,]*, HostID: [^,]*, |request send failed, |(?:Get|Put|Head|Post) "[^"]*": |(?:unreachable|ambiguous|throttled|credentials|configuration|unknown): )*`

// insides are parts of an error's text that speak of our insides, and what they say to people.
var insides = []struct {
	what *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(chain + `dial tcp ([^ ]+:\d+): connect: connection refused`), "$1 refuses the connection"},
	{regexp.MustCompile(chain + `dial tcp ([^ ]+:\d+): (?:connect: )?(?:i/o timeout|connection timed out)`), "$1 does not answer"},
	{regexp.MustCompile(chain + `dial tcp ([^ ]+:\d+): connect: (no route to host|network is unreachable)`), "$1 cannot be reached ($2)"},
	{regexp.MustCompile(chain + `dial tcp: lookup ([^ ]+)(?: on [^ ]+)?: no such host`), "there is no host $1"},
	{regexp.MustCompile(chain + `dial tcp: lookup ([^ ]+)(?: on [^ ]+)?: ([^:]*)$`), "the name $1 cannot be looked up ($2)"},
	{regexp.MustCompile(chain + `tls: failed to verify certificate: (x509: )?`), "its certificate is not trusted: "},
	{regexp.MustCompile(`too many open files( in system)?`), "too many open files$1 (raise the limit: ulimit -n, LimitNOFILE of the unit)"},
	{regexp.MustCompile(chain + `context deadline exceeded`), "no answer came in time"},
}

// Plain is an error's text without our insides.
func Plain(text string) string {
	for _, i := range insides {
		text = i.what.ReplaceAllString(text, i.say)
	}
	return text
}
