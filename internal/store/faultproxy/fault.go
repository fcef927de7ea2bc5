// Package faultproxy stands in front of a real S3 server and goes wrong in the
// ways that S3, its proxies and networks go wrong, as often and for as long as
// its rules say, the same way again for the same seed. It keeps the Host header,
// so that signatures hold. It is for tests.
package faultproxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Fault is one way to go wrong.
type Fault string

// Faults that answer in the server's place; nothing reaches it, nothing is stored.
const (
	SlowDown        Fault = "slowdown"         // 503 SlowDown
	SlowDownWait    Fault = "slowdown-wait"    // 503 SlowDown with Retry-After: 2
	AmzRetryAfter   Fault = "amz-retry-after"  // 503 SlowDown with x-amz-retry-after: 1500 (ms)
	HTML503         Fault = "html-503"         // 503 from a proxy in between, as HTML
	TooMany         Fault = "too-many"         // 429
	Internal        Fault = "internal"         // 500 InternalError
	BadGateway      Fault = "bad-gateway"      // 502 as HTML
	GatewayTimeout  Fault = "gateway-timeout"  // 504 as HTML
	RequestTimeout  Fault = "request-timeout"  // 400 RequestTimeout
	ExpiredToken    Fault = "expired-token"    // 400 ExpiredToken
	Forbidden       Fault = "forbidden"        // 403 AccessDenied
	Skewed          Fault = "skewed"           // 403 RequestTimeTooSkewed; the Date is 40 minutes ahead
	Conflict        Fault = "conflict"         // 409 ConditionalRequestConflict
	Precondition    Fault = "precondition"     // 412 PreconditionFailed, whatever is there
	NoBucket        Fault = "no-bucket"        // 404 NoSuchBucket
	Redirect        Fault = "redirect"         // 301 PermanentRedirect to another region
	WrongRegion     Fault = "wrong-region"     // 400 AuthorizationHeaderMalformed
	TooLarge        Fault = "too-large"        // 400 EntityTooLarge
	KeyTooLong      Fault = "key-too-long"     // 400 KeyTooLongError
	MetaTooLarge    Fault = "meta-too-large"   // 400 MetadataTooLarge
	InvalidArgument Fault = "invalid-argument" // 400 InvalidArgument about the object
	BadStorageClass Fault = "bad-class"        // 400 InvalidArgument about the configuration
	Empty200        Fault = "empty-200"        // 200 with neither ETag nor checksum
	ErrorIn200      Fault = "error-in-200"     // 200 with InternalError in its body
)

// Faults that break the connection or let it wait before anything was stored.
const (
	ResetBeforeBody Fault = "reset-before-body" // reset once the headers are read
	ResetMidBody    Fault = "reset-mid-body"    // reset once half of the body is read
	NoAnswer        Fault = "no-answer"         // takes the request and never answers
	Refused         Fault = "refused"           // no listener: connections are refused (by time window only)
)

// Faults behind the server's back: it has done what was asked.
const (
	StoredThen500      Fault = "stored-then-500"       // 500 InternalError
	StoredThenReset    Fault = "stored-then-reset"     // reset in place of the answer
	StoredThenNoAnswer Fault = "stored-then-no-answer" // no answer, ever
	StoredThenStall    Fault = "stored-then-stall"     // the headers of the answer, and never its end
	WrongChecksum      Fault = "wrong-checksum"        // the answer with another x-amz-checksum-sha256
	NoETag             Fault = "no-etag"               // the answer without its ETag
	SlowAnswer         Fault = "slow-answer"           // the answer, later by Rule.Delay
	SlowBandwidth      Fault = "slow-bandwidth"        // bodies both ways at Rule.Rate
	CutAnswer          Fault = "cut-answer"            // reset in the middle of the answer's body
)

// answer is what a fault says in the server's place.
type answer struct {
	status  int
	code    string // of S3's error document; "" is a page of HTML, or nothing for a 200
	extra   string // further elements of the document
	header  map[string]string
	message string
}

var answers = map[Fault]answer{
	SlowDown:        {status: 503, code: "SlowDown", message: "Please reduce your request rate."},
	SlowDownWait:    {status: 503, code: "SlowDown", message: "Please reduce your request rate.", header: map[string]string{"Retry-After": "2"}},
	AmzRetryAfter:   {status: 503, code: "SlowDown", message: "Please reduce your request rate.", header: map[string]string{"X-Amz-Retry-After": "1500"}},
	HTML503:         {status: 503},
	TooMany:         {status: 429, code: "TooManyRequests", message: "Too many requests."},
	Internal:        {status: 500, code: "InternalError", message: "We encountered an internal error. Please try again."},
	BadGateway:      {status: 502},
	GatewayTimeout:  {status: 504},
	RequestTimeout:  {status: 400, code: "RequestTimeout", message: "Your socket connection to the server was not read from or written to within the timeout period."},
	ExpiredToken:    {status: 400, code: "ExpiredToken", message: "The provided token has expired."},
	Forbidden:       {status: 403, code: "AccessDenied", message: "Access Denied"},
	Skewed:          {status: 403, code: "RequestTimeTooSkewed", message: "The difference between the request time and the current time is too large."},
	Conflict:        {status: 409, code: "ConditionalRequestConflict", message: "A conflicting operation occurred."},
	Precondition:    {status: 412, code: "PreconditionFailed", message: "At least one of the pre-conditions you specified did not hold"},
	NoBucket:        {status: 404, code: "NoSuchBucket", message: "The specified bucket does not exist"},
	Redirect:        {status: 301, code: "PermanentRedirect", message: "The bucket you are attempting to access must be addressed using the specified endpoint.", header: map[string]string{"X-Amz-Bucket-Region": "eu-west-3"}},
	WrongRegion:     {status: 400, code: "AuthorizationHeaderMalformed", message: "The authorization header is malformed; the region is wrong", extra: "<Region>eu-west-3</Region>"},
	TooLarge:        {status: 400, code: "EntityTooLarge", message: "Your proposed upload exceeds the maximum allowed size"},
	KeyTooLong:      {status: 400, code: "KeyTooLongError", message: "Your key is too long"},
	MetaTooLarge:    {status: 400, code: "MetadataTooLarge", message: "Your metadata headers exceed the maximum allowed metadata size"},
	InvalidArgument: {status: 400, code: "InvalidArgument", message: "Invalid argument", extra: "<ArgumentName>key</ArgumentName>"},
	BadStorageClass: {status: 400, code: "InvalidArgument", message: "Invalid argument", extra: "<ArgumentName>x-amz-storage-class</ArgumentName>"},
	Empty200:        {status: 200},
	ErrorIn200:      {status: 200, code: "InternalError", message: "We encountered an internal error. Please try again."},
}

func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	body := ""
	switch {
	case a.code != "":
		w.Header().Set("Content-Type", "application/xml")
		body = fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>%s<RequestId>F00</RequestId></Error>", a.code, a.message, a.extra)
	case a.status != http.StatusOK:
		w.Header().Set("Content-Type", "text/html")
		body = fmt.Sprintf("<html><head><title>%d</title></head><body><hr>proxy</body></html>", a.status)
	}
	w.WriteHeader(a.status)
	w.Write([]byte(body)) // nobody is left to hear of an error
}

// actions are the faults that are more than an answer.
var actions = map[Fault]func(*Proxy, Rule, http.ResponseWriter, *http.Request){
	ResetBeforeBody:    func(_ *Proxy, _ Rule, w http.ResponseWriter, _ *http.Request) { reset(w) },
	ResetMidBody:       (*Proxy).resetMidBody,
	NoAnswer:           (*Proxy).noAnswer,
	StoredThen500:      (*Proxy).storedThen500,
	StoredThenReset:    (*Proxy).storedThenReset,
	StoredThenNoAnswer: (*Proxy).storedThenNoAnswer,
	StoredThenStall:    (*Proxy).storedThenStall,
	WrongChecksum:      (*Proxy).wrongChecksum,
	NoETag:             (*Proxy).noETag,
	SlowAnswer:         (*Proxy).slowAnswer,
	SlowBandwidth:      (*Proxy).slowBandwidth,
	CutAnswer:          (*Proxy).cutAnswer,
}

// Faults lists every fault, sorted.
func Faults() []Fault {
	all := append(slices.Collect(maps.Keys(answers)), slices.Collect(maps.Keys(actions))...)
	all = append(all, Refused)
	slices.Sort(all)
	return all
}

// Stores says whether the server has done what was asked when the fault shows.
func (f Fault) Stores() bool {
	switch f {
	case StoredThen500, StoredThenReset, StoredThenNoAnswer, StoredThenStall, WrongChecksum, NoETag, SlowAnswer, SlowBandwidth, CutAnswer:
		return true
	}
	return false
}
