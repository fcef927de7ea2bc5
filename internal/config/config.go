// Package config is everything that can be set: the settings, where their values come
// from (flag, environment, file, default), and what they must hold.
package config

// Config is everything that can be set, and the one description of it: a field is a section
// of the YAML file or a setting, and its tags say the rest.
//
//	yaml     its name in the file
//	default  its value where none is given, written as in the file
//	flag     the flag, and what stands for its value in the help; common: every command has it
//	env      the environment variable
//	usage    what it is, for the help and for the reader of this file
//	oneof    the only texts that it takes
//	min      the least that it takes
//	empty    ok: the text may be empty
//	only     s3: it is for s3:// destinations
//
// A setting is a string, a bool, an int, or of a type that reads and writes itself as text
// (values.go, lists.go, credentials.go, upstreams.go). One whose type holds a Secret is shown nowhere.
// A Config that Load returned has passed validate.
type Config struct {
	Data        string      `yaml:"data" default:"indelible-data" flag:"data DIR" common:"yes" env:"INDELIBLE_DATA" usage:"directory of spool, key, lock and socket"` // absolute after Load
	Destination Destination `yaml:"destination"`
	Layout      string      `yaml:"layout" default:"object" oneof:"object pack" flag:"layout object|pack" env:"INDELIBLE_LAYOUT" usage:"how records are stored: one object per record, or many in a pack"`
	Pack        Pack        `yaml:"pack"`
	Doors       Doors       `yaml:"doors"`
	Admin       Admin       `yaml:"admin"`
	Log         Log         `yaml:"log"`
	Spool       Spool       `yaml:"spool"`
	Upload      Upload      `yaml:"upload"`
	Proof       Proof       `yaml:"proof"`
	Scrub       Scrub       `yaml:"scrub"`
	Index       Index       `yaml:"index"`
	Shutdown    Shutdown    `yaml:"shutdown"`
}

// Destination is the store that records are delivered to. "" leaves it to S3, or to the AWS SDK's chain.
type Destination struct {
	URL            StoreURL     `yaml:"url" flag:"to URL" common:"yes" env:"INDELIBLE_TO" usage:"where records end up: s3://bucket[/prefix], file:///dir or a path"` // the prefix may hold {bucket}
	Endpoint       HTTPURL      `yaml:"endpoint" only:"s3" flag:"endpoint URL" common:"yes" env:"AWS_ENDPOINT_URL_S3" usage:"an S3-compatible server in place of AWS"`
	Region         string       `yaml:"region" only:"s3" flag:"region R" common:"yes" env:"AWS_REGION" usage:"region of the bucket"`
	SSE            string       `yaml:"sse" only:"s3" oneof:"AES256 aws:kms aws:kms:dsse" usage:"server-side encryption"`
	KMSKeyID       string       `yaml:"kms_key_id" only:"s3" usage:"key of aws:kms"`
	StorageClass   StorageClass `yaml:"storage_class" only:"s3" usage:"storage class as S3 spells it"`
	Tags           Tags         `yaml:"tags" only:"s3" usage:"tags of every object"`
	ObjectLock     ObjectLock   `yaml:"object_lock"`
	Retain         Duration     `yaml:"retain" min:"1ns" usage:"how old records may become before \"indelible expire\" removes them"` // 0 is for ever
	AssumeRole     ARN          `yaml:"assume_role" only:"s3" usage:"ARN of a role to assume"`
	MaxConcurrency int          `yaml:"max_concurrency" usage:"uploads at a time at most; 0: the uploader's own bound"`
}

// ObjectLock makes every stored object immutable until its time has passed.
type ObjectLock struct {
	Mode   string   `yaml:"mode" only:"s3" oneof:"governance compliance" usage:"the kind of Object Lock"`
	Retain Duration `yaml:"retain" only:"s3" min:"1ns" usage:"how long every object is locked"`
}

// Pack says when a pack is closed: by whichever comes first.
type Pack struct {
	MaxBytes   Size     `yaml:"max_bytes" default:"64MiB" min:"1MiB" usage:"size of a pack's file at which it is closed"`
	MaxRecords int      `yaml:"max_records" default:"100000" min:"1" usage:"records at which a pack is closed"`
	MaxAge     Duration `yaml:"max_age" default:"1m" min:"1s" usage:"how long a pack waits for more records"`
	FastAfter  Duration `yaml:"fast_after" default:"15m" usage:"how long a record has waited if its pack is compressed for speed; 0: none is"`
}

// Doors are the listeners that take records.
type Doors struct {
	S3    S3Door    `yaml:"s3"`
	HTTP  HTTPDoor  `yaml:"http"`
	Proxy ProxyDoor `yaml:"proxy"`
}

// S3Door takes PUTs as S3 does. Without keys it is for loopback only, and checks no signature.
type S3Door struct {
	Listen  Address  `yaml:"listen" default:"127.0.0.1:9000" flag:"s3 ADDR|off" env:"INDELIBLE_S3" usage:"address of the S3 door"`
	Keys    S3Keys   `yaml:"keys" env:"INDELIBLE_S3_KEYS" usage:"access keys of senders, id:secret or {id, secret, name, team}"`
	MaxHold Duration `yaml:"max_hold" default:"20s" min:"1ms" usage:"how long a PUT waits for room before it is refused"`
	Trust   bool     `yaml:"trust" usage:"do not check signatures, also beyond loopback"`
	Bucket  string   `yaml:"bucket" default:"default" usage:"bucket of bucket-less requests"`
	Domains List     `yaml:"domains" usage:"domains of virtual-hosted requests"`
	TLS     TLS      `yaml:"tls"`
}

// HTTPDoor takes JSON records. Without tokens it is for loopback only.
type HTTPDoor struct {
	Listen     Address     `yaml:"listen" default:"127.0.0.1:4318" flag:"http ADDR|off" env:"INDELIBLE_HTTP" usage:"address of the JSON and OTLP doors"`
	Tokens     Tokens      `yaml:"tokens" env:"INDELIBLE_HTTP_TOKENS" usage:"bearer tokens of senders, or {token, name, team}"`
	MaxRequest Size        `yaml:"max_request" default:"64MiB" min:"1" usage:"size of one request at most, decoded"`
	MaxHold    Duration    `yaml:"max_hold" default:"20s" min:"1ns" usage:"how long a request waits for room before it is refused"`
	Bucket     string      `yaml:"bucket" empty:"ok" usage:"keep records as if they had been sent to this bucket of the S3 door"`
	LiteLLM    LiteLLMKeys `yaml:"litellm"`
	OTLP       OTLPDoor    `yaml:"otlp"`
	TLS        TLS         `yaml:"tls"`
}

// LiteLLMKeys says how the keys of LiteLLM's payloads are made: as LiteLLM's
// s3_v2 callback makes them under the s3_callback_params that usage names.
type LiteLLMKeys struct {
	Path       string `yaml:"path" empty:"ok" usage:"s3_path"`
	TeamPrefix bool   `yaml:"team_prefix" usage:"s3_use_team_prefix"`
	KeyPrefix  bool   `yaml:"key_prefix" usage:"s3_use_key_prefix"`
	Partition  string `yaml:"partition" default:"day" oneof:"day hour" usage:"s3_partition_granularity"`
}

// OTLPDoor takes spans and log records at the listener of the JSON door.
type OTLPDoor struct {
	Other string `yaml:"other" default:"drop" oneof:"drop keep" usage:"spans and log records that have nothing to do with a model: drop (and count) or keep"`
}

// ProxyDoor passes calls to model providers and records them. Without tokens it is for loopback only.
type ProxyDoor struct {
	Listen    Address   `yaml:"listen" default:"127.0.0.1:4100" flag:"proxy ADDR|off" env:"INDELIBLE_PROXY" usage:"address of the recording proxy"`
	Upstreams Upstreams `yaml:"upstreams" usage:"upstreams besides the built-in ones, or in place of them"`
	Tokens    Tokens    `yaml:"tokens" env:"INDELIBLE_PROXY_TOKENS" usage:"tokens of callers, in x-indelible-token or as the API key"`
	Trust     bool      `yaml:"trust" usage:"let everybody call, also from beyond loopback"`
	Mode      string    `yaml:"mode" default:"strict" oneof:"strict relaxed" usage:"strict: records are durable before the request and the end of the answer pass; relaxed: after"`
	OnFull    string    `yaml:"on_full" default:"fail_closed" oneof:"fail_closed pass_and_record_gap" usage:"without room for a record: fail_closed (503) or pass_and_record_gap"`
	OnLeave   string    `yaml:"on_client_disconnect" default:"cancel" oneof:"cancel drain" usage:"when the client leaves: cancel the call, or drain its answer"`
	DrainMax  Duration  `yaml:"drain_max" default:"5m" min:"1s" usage:"how long an answer is read on without its client"`
	MaxBody   Size      `yaml:"max_request" default:"512MiB" min:"1" usage:"size of one request's body at most"`
	MaxKept   Size      `yaml:"max_kept" default:"512MiB" min:"1" usage:"how much of one answer is recorded at most; all of it passes"`
	MaxHold   Duration  `yaml:"max_hold" default:"20s" min:"1ms" usage:"how long a call waits for room before it is refused"`
	TLS       TLS       `yaml:"tls"`
}

// Admin is the listener for operators. Without Token it is for loopback only, and a token is
// made; without OperatorToken operating takes the socket.
type Admin struct {
	Listen        Address `yaml:"listen" default:"127.0.0.1:9001" flag:"admin ADDR|off" env:"INDELIBLE_ADMIN" usage:"address of health, metrics and the dashboard"`
	Token         Secret  `yaml:"token" env:"INDELIBLE_ADMIN_TOKEN" usage:"bearer token that may read the API of the admin listener"`
	OperatorToken Secret  `yaml:"operator_token" env:"INDELIBLE_ADMIN_OPERATOR_TOKEN" usage:"bearer token that may also operate: redrive, rotate the key"`
	TLS           TLS     `yaml:"tls"`
}

// TLS makes a listener speak TLS; both files or neither.
type TLS struct {
	Cert string `yaml:"cert" usage:"PEM file with the certificate chain"`
	Key  string `yaml:"key" usage:"PEM file with the private key"`
}

// Log is about the daemon's own log lines, on stderr.
type Log struct {
	Format string `yaml:"format" oneof:"text json" flag:"log-format text|json" usage:"form of log lines"` // "": text on a terminal, json elsewhere
	Level  string `yaml:"level" default:"info" oneof:"debug info warn error" flag:"log-level LEVEL" usage:"debug, info, warn or error"`
}

// Spool bounds the durable queue.
type Spool struct {
	MaxBytes     Size `yaml:"max_bytes" flag:"max-spool SIZE" env:"INDELIBLE_MAX_SPOOL" usage:"bound of the spool; 0: the disk, less the reserve"`
	SegmentBytes Size `yaml:"segment_bytes" default:"64MiB" min:"64KiB" usage:"size of one segment file"`
	ReserveBytes Size `yaml:"reserve_bytes" default:"128MiB" min:"1" usage:"what is left free on the disk"`
}

// Upload sets the pace of delivery.
type Upload struct {
	AttemptTimeout Duration `yaml:"attempt_timeout" default:"30s" min:"1ns" usage:"bound of one attempt"`
	BackoffMin     Duration `yaml:"backoff_min" default:"100ms" min:"1ns" usage:"first wait after a failure"`
	BackoffMax     Duration `yaml:"backoff_max" default:"30s" min:"1ns" usage:"longest wait after a failure"`
	Confirm        string   `yaml:"confirm" default:"off" oneof:"off head read" usage:"look at each object once more before its record counts as stored: off, head (that it is there) or read (its bytes)"`
	ConfirmAfter   Duration `yaml:"confirm_after" default:"1m" min:"1s" usage:"how long after it was stored"`
}

// Proof is about the transparency log.
type Proof struct {
	Name            LogName  `yaml:"name" usage:"the log's name; made at first start"`
	KeyFile         string   `yaml:"key_file" usage:"the signing key; default <data>/log.key"`
	Key             Secret   `yaml:"key" env:"INDELIBLE_LOG_KEY" usage:"the signing key itself, its seed in hex or base64, or command: and the program that signs"`
	MLDSA           bool     `yaml:"ml_dsa" usage:"keys that are made sign with ML-DSA-44 as well as Ed25519"`
	CheckpointEvery Duration `yaml:"checkpoint_every" default:"1m" min:"1ns" usage:"longest time between checkpoints"`
	Witnesses       List     `yaml:"witnesses" usage:"witnesses (C2SP tlog-witness) that cosign checkpoints: \"URL KEY\" each"`
}

// Scrub looks at the destination in the background.
type Scrub struct {
	Every  Duration `yaml:"every" usage:"how often the destination is verified in the background; 0: never"`
	Sample Percent  `yaml:"sample" default:"1%" usage:"percentage of the objects that are read then"`
}

// Index is about the local index of what was stored and is pending.
type Index struct {
	Mode string `yaml:"mode" default:"on" oneof:"on off" usage:"the local index, <data>/index.db; \"index: off\" is the same"`
	Text string `yaml:"text" default:"fields" oneof:"off fields body" usage:"what search looks for words in: off, fields, or body (and the fields)"`
}

// Shutdown says how serve stops.
type Shutdown struct {
	Drain Duration `yaml:"drain" default:"10s" usage:"how long delivery goes on after the doors have closed"`
}
