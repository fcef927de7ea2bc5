// Package config is everything that can be set: the table of settings, where their
// values come from (flag, environment, file, default), and what they must hold.
package config

import (
	"slices"
	"time"
)

// Config is everything that can be set, and the reference of the YAML file:
// each field names its place there. fields.go binds the same places to flags
// and environment variables; docs/configuration.md is written from both.
// A Config that Load returned has passed Validate.
type Config struct {
	Data        string      // data: the directory of spool, key, lock and socket; absolute after Load
	Destination Destination // destination: where the records end up
	Layout      string      // layout: object (one object per record) or pack (many records in one)
	Pack        Pack        // pack: when a pack is closed
	Doors       Doors       // doors: where records come in
	Admin       Admin       // admin: health, metrics and the JSON API
	Log         Log         // log: our own log lines on stderr
	Spool       Spool       // spool: the durable queue on this disk
	Upload      Upload      // upload: the pace of delivery
	Proof       Proof       // proof: the transparency log
	Scrub       Scrub       // scrub: verification in the background
	Index       Index       // index: the local index
	Shutdown    Shutdown    // shutdown: how serve stops
}

// Destination is the store that records are delivered to. Everything but URL
// and MaxConcurrency speaks of s3:// only.
type Destination struct {
	URL            string            // destination.url: s3://bucket[/prefix], file:///dir or a path; the prefix may hold {bucket}
	Endpoint       string            // destination.endpoint: an S3-compatible server; path style when given
	Region         string            // destination.region: "" leaves it to the SDK's chain
	SSE            string            // destination.sse: "", AES256, aws:kms or aws:kms:dsse
	KMSKeyID       string            // destination.kms_key_id: the key of aws:kms
	StorageClass   string            // destination.storage_class: as S3 spells it, such as STANDARD_IA
	Tags           map[string]string // destination.tags: on every object
	ObjectLock     ObjectLock        // destination.object_lock
	AssumeRole     string            // destination.assume_role: ARN of a role to assume
	Retain         time.Duration     // destination.retain: how old records may become; 0 is for ever
	MaxConcurrency int               // destination.max_concurrency: uploads at a time at most; 0 is the uploader's own bound
}

// Pack says when a pack is closed: by whichever comes first.
type Pack struct {
	MaxBytes   int64         // pack.max_bytes: of its file
	MaxRecords int           // pack.max_records
	MaxAge     time.Duration // pack.max_age: since its first record was written
}

// ObjectLock makes every stored object immutable until its time has passed.
type ObjectLock struct {
	Mode   string        // destination.object_lock.mode: "", governance or compliance
	Retain time.Duration // destination.object_lock.retain: how long, such as 180d
}

// Doors are the listeners that take records.
type Doors struct {
	S3   S3Door   // doors.s3
	HTTP HTTPDoor // doors.http
	// Proxy is doors.proxy.
	Proxy ProxyDoor
}

// S3Door takes PUTs as S3 does.
type S3Door struct {
	Listen  string        // doors.s3.listen: host:port, or off
	Keys    []S3Key       // doors.s3.keys: who may sign; none: loopback only, signatures not checked
	MaxHold time.Duration // doors.s3.max_hold: how long a PUT waits for room before 503 SlowDown
	Trust   bool          // doors.s3.trust: take requests whatever their signature, also beyond loopback
	Bucket  string        // doors.s3.bucket: the bucket of bucket-less requests
	Domains []string      // doors.s3.domains: hosts <bucket>.<domain> are virtual-hosted requests
	TLS     TLS           // doors.s3.tls
}

// HTTPDoor takes JSON records.
type HTTPDoor struct {
	Listen     string        // doors.http.listen: host:port, or off
	Tokens     []Token       // doors.http.tokens: bearer tokens; none: loopback only
	MaxRequest int64         // doors.http.max_request: bytes of one request, decoded
	MaxHold    time.Duration // doors.http.max_hold: how long a request waits for room before 503
	Bucket     string        // doors.http.bucket: the records are kept as if sent to this bucket of the S3 door
	LiteLLM    LiteLLMKeys   // doors.http.litellm
	OTLP       OTLPDoor      // doors.http.otlp
	TLS        TLS           // doors.http.tls
}

// OTLPDoor takes spans and log records at the listener of the JSON door.
type OTLPDoor struct {
	Other string // doors.http.otlp.other: drop or keep what has nothing to do with a model
}

// ProxyDoor passes calls to model providers and records them.
type ProxyDoor struct {
	Listen    string        // doors.proxy.listen: host:port, or off
	Upstreams []Upstream    // doors.proxy.upstreams: by name; the built-in ones are there unless one of the name is given
	Tokens    []Token       // doors.proxy.tokens: who may call; none: loopback only
	Trust     bool          // doors.proxy.trust: let everybody call, also beyond loopback
	Mode      string        // doors.proxy.mode: strict or relaxed
	OnFull    string        // doors.proxy.on_full: fail_closed or pass_and_record_gap
	OnLeave   string        // doors.proxy.on_client_disconnect: cancel or drain
	DrainMax  time.Duration // doors.proxy.drain_max: how long an answer is read on
	MaxBody   int64         // doors.proxy.max_request: bytes of one request
	MaxKept   int64         // doors.proxy.max_kept: bytes recorded of one answer
	MaxHold   time.Duration // doors.proxy.max_hold: how long a call waits for room before 503
	TLS       TLS           // doors.proxy.tls
}

// Upstream is a server that the proxy calls.
type Upstream struct {
	Name     string
	URL      string // url
	Provider string // provider: as records name it; "" leaves it to the bytes
	KeyFile  string // key_file: holds the credential that is sent in place of the client's
	Header   string // key_header: where that goes; "" is Authorization, as Bearer
	Sign     string // sign: "aws" signs each request with AWS credentials of the process
	Region   string // region: of such a signature; "" is the host's, or the environment's
	Service  string // service: likewise; "" is bedrock
	Profile  string // profile: of AWS's shared configuration
}

// BuiltinUpstreams are there without being configured.
func BuiltinUpstreams() []Upstream {
	return []Upstream{
		{Name: "openai", URL: "https://api.openai.com", Provider: "openai"},
		{Name: "anthropic", URL: "https://api.anthropic.com", Provider: "anthropic"},
		{Name: "gemini", URL: "https://generativelanguage.googleapis.com", Provider: "gemini"},
		{Name: "mistral", URL: "https://api.mistral.ai", Provider: "mistral"},
		{Name: "cohere", URL: "https://api.cohere.com", Provider: "cohere"},
		{Name: "ollama", URL: "http://127.0.0.1:11434", Provider: "ollama"},
		{Name: "litellm", URL: "http://127.0.0.1:4000"},
	}
}

// All are the configured upstreams, and the built-in ones that none of them replaces.
func (p *ProxyDoor) All() []Upstream {
	all := slices.Clone(p.Upstreams)
	for _, b := range BuiltinUpstreams() {
		if !slices.ContainsFunc(all, func(u Upstream) bool { return u.Name == b.Name }) {
			all = append(all, b)
		}
	}
	return all
}

// LiteLLMKeys says how the keys of LiteLLM's payloads are made: as LiteLLM's
// s3_v2 callback makes them under the s3_callback_params of these names.
type LiteLLMKeys struct {
	Path       string // doors.http.litellm.path: s3_path
	TeamPrefix bool   // doors.http.litellm.team_prefix: s3_use_team_prefix
	KeyPrefix  bool   // doors.http.litellm.key_prefix: s3_use_key_prefix
	Partition  string // doors.http.litellm.partition: s3_partition_granularity, day or hour
}

// Admin is the listener for operators.
type Admin struct {
	Listen string // admin.listen: host:port, or off
	Token  Secret // admin.token: bearer token that may read; none: loopback only, and one is made
	// OperatorToken may also operate. admin.operator_token; none: operating takes the socket.
	OperatorToken Secret
	TLS           TLS // admin.tls
}

// TLS makes a listener speak TLS; both files or neither.
type TLS struct {
	Cert string // tls.cert: PEM file with the certificate chain
	Key  string // tls.key: PEM file with the private key
}

// Log is about the daemon's own log lines.
type Log struct {
	Format string // log.format: text, json, or "" for text on a terminal and json elsewhere
	Level  string // log.level: debug, info, warn or error
}

// Spool bounds the durable queue.
type Spool struct {
	MaxBytes     int64 // spool.max_bytes: 0 is the disk, less the reserve
	SegmentBytes int64 // spool.segment_bytes: size of one segment file
	ReserveBytes int64 // spool.reserve_bytes: what is left free on the disk
}

// Upload sets the pace of delivery; zero values are the uploader's own.
type Upload struct {
	AttemptTimeout time.Duration // upload.attempt_timeout: bound of one attempt
	BackoffMin     time.Duration // upload.backoff_min
	BackoffMax     time.Duration // upload.backoff_max
	Confirm        string        // upload.confirm: "off", "head" or "read"
	ConfirmAfter   time.Duration // upload.confirm_after: how long after an object was stored it is looked at once more
}

// Scrub looks at the destination in the background.
type Scrub struct {
	Every  time.Duration // scrub.every: 0: never
	Sample float64       // scrub.sample: percentage of the objects that are read
}

// Proof is about the transparency log.
type Proof struct {
	Name            string        // proof.name: the log's name; "" makes one at first start
	KeyFile         string        // proof.key_file: the signing key; "" is <data>/log.key
	CheckpointEvery time.Duration // proof.checkpoint_every
	Witnesses       []string      // proof.witnesses: each the URL of a C2SP tlog-witness, a space, and its verifier key
	Key             Secret        // proof.key: the signing key itself, its 32-byte seed, out of a secret manager, or command: and the program that holds it; "" is KeyFile
	MLDSA           bool          // proof.ml_dsa: keys that are made sign with ML-DSA-44 as well
}

// Index is about the local index of what was stored and is pending.
type Index struct {
	Mode string // index.mode, or index itself: on or off
	Text string // index.text: what words are looked for in: off, fields or body
}

// Shutdown says how serve stops.
type Shutdown struct {
	Drain time.Duration // shutdown.drain: how long delivery goes on after the doors have closed
}

// Default is the configuration of a bare `indelible serve`.
func Default() Config {
	return Config{
		Data:   "indelible-data",
		Layout: "object",
		Pack:   Pack{MaxBytes: 64 << 20, MaxRecords: 100_000, MaxAge: time.Minute},
		Doors: Doors{
			S3:   S3Door{Listen: "127.0.0.1:9000", MaxHold: 20 * time.Second, Bucket: "default"},
			HTTP: HTTPDoor{Listen: "127.0.0.1:4318", MaxRequest: 64 << 20, MaxHold: 20 * time.Second, LiteLLM: LiteLLMKeys{Partition: "day"}, OTLP: OTLPDoor{Other: "drop"}},
			Proxy: ProxyDoor{Listen: "127.0.0.1:4100", Mode: "strict", OnFull: "fail_closed", OnLeave: "cancel", DrainMax: 5 * time.Minute,
				MaxBody: 512 << 20, MaxKept: 512 << 20, MaxHold: 20 * time.Second},
		},
		Admin:    Admin{Listen: "127.0.0.1:9001"},
		Log:      Log{Level: "info"},
		Spool:    Spool{SegmentBytes: 64 << 20, ReserveBytes: 128 << 20},
		Upload:   Upload{AttemptTimeout: 30 * time.Second, BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second, Confirm: "off", ConfirmAfter: time.Minute},
		Proof:    Proof{CheckpointEvery: time.Minute},
		Scrub:    Scrub{Sample: 1},
		Index:    Index{Mode: "on", Text: "fields"},
		Shutdown: Shutdown{Drain: 10 * time.Second},
	}
}
