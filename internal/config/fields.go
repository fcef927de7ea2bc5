package config

import (
	"strings"
	"time"

	"indelible/internal/proof"
)

// Field is one setting and all its names.
type Field struct {
	Path    string // its place in the YAML file
	Flag    string // without dashes; "" if it has none
	Arg     string // what stands for the flag's value in its help
	Env     string // "" if it has none
	Usage   string
	Default string // as text; "" where there is none
	Common  bool   // a flag of every command, not of serve alone
	secret  bool
	remote  bool // speaks of s3:// destinations only
	value   value
}

// Values are the texts that may be set, where there are only a few.
func (f Field) Values() []string {
	switch v := f.value.(type) {
	case textValue:
		return v.pick
	case addrValue:
		return []string{"127.0.0.1:", Off}
	}
	return nil
}

// Fields is the table of all settings, in the order of the documentation.
func Fields() []Field {
	c := Default()
	fs := c.fields()
	for i := range fs {
		fs[i].Default = fs[i].value.String()
	}
	return fs
}

// fields is the table, bound to the fields of c.
func (c *Config) fields() []Field {
	d, s3, spool, proxy := &c.Destination, &c.Doors.S3, &c.Spool, &c.Doors.Proxy
	fs := []Field{
		{Path: "data", Flag: "data", Arg: "DIR", Env: "INDELIBLE_DATA", Common: true, Usage: "directory of spool, key, lock and socket", value: textValue{p: &c.Data, ok: notEmpty}},
		{Path: "destination.url", Flag: "to", Arg: "URL", Env: "INDELIBLE_TO", Common: true, Usage: "where records end up: s3://bucket[/prefix], file:///dir or a path", value: textValue{p: &d.URL, ok: wrongLocation}},
		{Path: "destination.endpoint", Flag: "endpoint", Arg: "URL", Env: "AWS_ENDPOINT_URL_S3", Common: true, remote: true, Usage: "an S3-compatible server in place of AWS", value: textValue{p: &d.Endpoint, ok: wrongURL}},
		{Path: "destination.region", Flag: "region", Arg: "R", Env: "AWS_REGION", Common: true, remote: true, Usage: "region of the bucket", value: textValue{p: &d.Region, ok: notEmpty}},
		{Path: "destination.sse", remote: true, Usage: "server-side encryption: AES256, aws:kms or aws:kms:dsse", value: textValue{p: &d.SSE, pick: []string{"AES256", "aws:kms", "aws:kms:dsse"}}},
		{Path: "destination.kms_key_id", remote: true, Usage: "key of aws:kms", value: textValue{p: &d.KMSKeyID, ok: notEmpty}},
		{Path: "destination.storage_class", remote: true, Usage: "storage class as S3 spells it", value: textValue{p: &d.StorageClass, ok: wrongStorageClass}},
		{Path: "destination.tags", remote: true, Usage: "tags of every object", value: tagsValue{&d.Tags}},
		{Path: "destination.object_lock.mode", remote: true, Usage: "Object Lock: governance or compliance", value: textValue{p: &d.ObjectLock.Mode, pick: []string{"governance", "compliance"}}},
		{Path: "destination.object_lock.retain", remote: true, Usage: "how long every object is locked", value: durationValue{&d.ObjectLock.Retain, 1}},
		{Path: "destination.retain", Usage: "how old records may become before \"indelible expire\" removes them", value: durationValue{&d.Retain, 1}},
		{Path: "destination.assume_role", remote: true, Usage: "ARN of a role to assume", value: textValue{p: &d.AssumeRole, ok: wrongARN}},
		{Path: "destination.max_concurrency", Usage: "uploads at a time at most; 0: the uploader's own bound", value: intValue{&d.MaxConcurrency, 0}},
		{Path: "layout", Flag: "layout", Arg: "object|pack", Env: "INDELIBLE_LAYOUT", Usage: "how records are stored: one object per record, or many in a pack", value: textValue{p: &c.Layout, pick: []string{"object", "pack"}}},
		{Path: "pack.max_bytes", Usage: "size of a pack's file at which it is closed", value: sizeValue{&c.Pack.MaxBytes, 1 << 20}},
		{Path: "pack.max_records", Usage: "records at which a pack is closed", value: intValue{&c.Pack.MaxRecords, 1}},
		{Path: "pack.max_age", Usage: "how long a pack waits for more records", value: durationValue{&c.Pack.MaxAge, time.Second}},

		{Path: "doors.s3.listen", Flag: "s3", Arg: "ADDR|off", Env: "INDELIBLE_S3", Usage: "address of the S3 door", value: addrValue{&s3.Listen}},
		{Path: "doors.s3.keys", Env: "INDELIBLE_S3_KEYS", Usage: "access keys of senders, id:secret or {id, secret, name, team}", secret: true, value: keysValue{&s3.Keys}},
		{Path: "doors.s3.max_hold", Usage: "how long a PUT waits for room before it is refused", value: durationValue{&s3.MaxHold, time.Millisecond}},
		{Path: "doors.s3.trust", Usage: "do not check signatures, also beyond loopback", value: boolValue{&s3.Trust}},
		{Path: "doors.s3.bucket", Usage: "bucket of bucket-less requests", value: textValue{p: &s3.Bucket, ok: notEmpty}},
		{Path: "doors.s3.domains", Usage: "domains of virtual-hosted requests", value: listValue{&s3.Domains}},
		{Path: "doors.http.listen", Flag: "http", Arg: "ADDR|off", Env: "INDELIBLE_HTTP", Usage: "address of the JSON and OTLP doors", value: addrValue{&c.Doors.HTTP.Listen}},
		{Path: "doors.http.tokens", Env: "INDELIBLE_HTTP_TOKENS", Usage: "bearer tokens of senders, or {token, name, team}", secret: true, value: tokensValue{&c.Doors.HTTP.Tokens}},
		{Path: "doors.http.max_request", Usage: "size of one request at most, decoded", value: sizeValue{&c.Doors.HTTP.MaxRequest, 1}},
		{Path: "doors.http.max_hold", Usage: "how long a request waits for room before it is refused", value: durationValue{&c.Doors.HTTP.MaxHold, 1}},
		{Path: "doors.http.bucket", Usage: "keep records as if they had been sent to this bucket", value: textValue{p: &c.Doors.HTTP.Bucket}},
		{Path: "doors.http.litellm.path", Usage: "s3_path of LiteLLM's s3_v2", value: textValue{p: &c.Doors.HTTP.LiteLLM.Path}},
		{Path: "doors.http.litellm.team_prefix", Usage: "s3_use_team_prefix of LiteLLM's s3_v2", value: boolValue{&c.Doors.HTTP.LiteLLM.TeamPrefix}},
		{Path: "doors.http.litellm.key_prefix", Usage: "s3_use_key_prefix of LiteLLM's s3_v2", value: boolValue{&c.Doors.HTTP.LiteLLM.KeyPrefix}},
		{Path: "doors.http.litellm.partition", Usage: "s3_partition_granularity of LiteLLM's s3_v2: day or hour", value: textValue{p: &c.Doors.HTTP.LiteLLM.Partition, pick: []string{"day", "hour"}}},
		{Path: "doors.http.otlp.other", Usage: "spans and log records that have nothing to do with a model: drop (and count) or keep", value: textValue{p: &c.Doors.HTTP.OTLP.Other, pick: []string{"drop", "keep"}}},
		{Path: "doors.proxy.listen", Flag: "proxy", Arg: "ADDR|off", Env: "INDELIBLE_PROXY", Usage: "address of the recording proxy", value: addrValue{&proxy.Listen}},
		{Path: "doors.proxy.upstreams", Usage: "further upstreams, {name: {url, provider, key_file, key_header, sign, region, service, profile}}", value: upstreamsValue{&proxy.Upstreams}},
		{Path: "doors.proxy.tokens", Env: "INDELIBLE_PROXY_TOKENS", Usage: "tokens of callers, in x-indelible-token or as the API key", secret: true, value: tokensValue{&proxy.Tokens}},
		{Path: "doors.proxy.trust", Usage: "let everybody call, also from beyond loopback", value: boolValue{&proxy.Trust}},
		{Path: "doors.proxy.mode", Usage: "strict: records are durable before the request and the end of the answer pass; relaxed: after", value: textValue{p: &proxy.Mode, pick: []string{"strict", "relaxed"}}},
		{Path: "doors.proxy.on_full", Usage: "without room for a record: fail_closed (503) or pass_and_record_gap", value: textValue{p: &proxy.OnFull, pick: []string{"fail_closed", "pass_and_record_gap"}}},
		{Path: "doors.proxy.on_client_disconnect", Usage: "when the client leaves: cancel the call, or drain its answer", value: textValue{p: &proxy.OnLeave, pick: []string{"cancel", "drain"}}},
		{Path: "doors.proxy.drain_max", Usage: "how long an answer is read on without its client", value: durationValue{&proxy.DrainMax, time.Second}},
		{Path: "doors.proxy.max_request", Usage: "size of one request's body at most", value: sizeValue{&proxy.MaxBody, 1}},
		{Path: "doors.proxy.max_kept", Usage: "how much of one answer is recorded at most; all of it passes", value: sizeValue{&proxy.MaxKept, 1}},
		{Path: "doors.proxy.max_hold", Usage: "how long a call waits for room before it is refused", value: durationValue{&proxy.MaxHold, time.Millisecond}},
		{Path: "admin.listen", Flag: "admin", Arg: "ADDR|off", Env: "INDELIBLE_ADMIN", Usage: "address of health, metrics and the dashboard", value: addrValue{&c.Admin.Listen}},
		{Path: "admin.token", Env: "INDELIBLE_ADMIN_TOKEN", Usage: "bearer token that may read the API of the admin listener", secret: true, value: textValue{p: (*string)(&c.Admin.Token), ok: notEmpty}},
		{Path: "admin.operator_token", Env: "INDELIBLE_ADMIN_OPERATOR_TOKEN", Usage: "bearer token that may also operate: redrive, rotate the key", secret: true, value: textValue{p: (*string)(&c.Admin.OperatorToken), ok: notEmpty}},

		{Path: "log.format", Flag: "log-format", Arg: "text|json", Usage: "form of log lines", value: textValue{p: &c.Log.Format, pick: []string{"text", "json"}}},
		{Path: "log.level", Flag: "log-level", Arg: "LEVEL", Usage: "debug, info, warn or error", value: textValue{p: &c.Log.Level, pick: []string{"debug", "info", "warn", "error"}}},
		{Path: "spool.max_bytes", Flag: "max-spool", Arg: "SIZE", Env: "INDELIBLE_MAX_SPOOL", Usage: "bound of the spool; 0: the disk, less the reserve", value: sizeValue{&spool.MaxBytes, 0}},
		{Path: "spool.segment_bytes", Usage: "size of one segment file", value: sizeValue{&spool.SegmentBytes, 64 << 10}},
		{Path: "spool.reserve_bytes", Usage: "what is left free on the disk", value: sizeValue{&spool.ReserveBytes, 1}},
		{Path: "upload.attempt_timeout", Usage: "bound of one attempt", value: durationValue{&c.Upload.AttemptTimeout, 1}},
		{Path: "upload.backoff_min", Usage: "first wait after a failure", value: durationValue{&c.Upload.BackoffMin, 1}},
		{Path: "upload.backoff_max", Usage: "longest wait after a failure", value: durationValue{&c.Upload.BackoffMax, 1}},
		{Path: "upload.confirm", Usage: "look at each object once more before its record counts as stored: off, head (that it is there) or read (its bytes)", value: textValue{p: &c.Upload.Confirm, pick: []string{"off", "head", "read"}}},
		{Path: "upload.confirm_after", Usage: "how long after it was stored", value: durationValue{&c.Upload.ConfirmAfter, time.Second}},
		{Path: "proof.name", Usage: "the log's name; made at first start", value: textValue{p: &c.Proof.Name, ok: wrongLogName}},
		{Path: "proof.key_file", Usage: "the signing key; default <data>/log.key", value: textValue{p: &c.Proof.KeyFile, ok: notEmpty}},
		{Path: "proof.key", Env: "INDELIBLE_LOG_KEY", Usage: "the signing key itself, its seed in hex or base64, or command: and the program that signs", secret: true, value: textValue{p: (*string)(&c.Proof.Key), ok: notEmpty}},
		{Path: "proof.ml_dsa", Usage: "keys that are made sign with ML-DSA-44 as well as Ed25519", value: boolValue{&c.Proof.MLDSA}},
		{Path: "proof.checkpoint_every", Usage: "longest time between checkpoints", value: durationValue{&c.Proof.CheckpointEvery, 1}},
		{Path: "proof.witnesses", Usage: "witnesses that cosign checkpoints: \"URL KEY\" each", value: listValue{&c.Proof.Witnesses}},
		{Path: "scrub.every", Usage: "how often the destination is verified in the background; 0: never", value: durationValue{&c.Scrub.Every, 0}},
		{Path: "scrub.sample", Usage: "percentage of the objects that are read then", value: percentValue{&c.Scrub.Sample}},
		{Path: "index.mode", Usage: "the local index, <data>/index.db: on or off; \"index: off\" is the same", value: textValue{p: &c.Index.Mode, pick: []string{"on", Off}}},
		{Path: "index.text", Usage: "what search looks for words in: off, fields, or body (and the fields)", value: textValue{p: &c.Index.Text, pick: []string{"off", "fields", "body"}}},
		{Path: "shutdown.drain", Usage: "how long delivery goes on after the doors have closed", value: durationValue{&c.Shutdown.Drain, 0}},
	}
	fs = append(fs, tlsFields("doors.s3", &s3.TLS)...)
	fs = append(fs, tlsFields("doors.http", &c.Doors.HTTP.TLS)...)
	fs = append(fs, tlsFields("doors.proxy", &proxy.TLS)...)
	return append(fs, tlsFields("admin", &c.Admin.TLS)...)
}

func tlsFields(door string, t *TLS) []Field {
	return []Field{
		{Path: door + ".tls.cert", Usage: "PEM file with the certificate chain", value: textValue{p: &t.Cert, ok: notEmpty}},
		{Path: door + ".tls.key", Usage: "PEM file with the private key", value: textValue{p: &t.Key, ok: notEmpty}},
	}
}

func notEmpty(s string) string {
	if s == "" {
		return "want a text that is not empty"
	}
	return ""
}

func wrongStorageClass(s string) string {
	if s == "" || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "want a storage class as S3 spells it, such as STANDARD_IA"
	}
	return ""
}

func wrongARN(s string) string {
	if !strings.HasPrefix(s, "arn:") {
		return "want the ARN of a role, such as arn:aws:iam::123456789012:role/name"
	}
	return ""
}

func wrongLogName(s string) string {
	if proof.CheckName(s) != nil {
		return "want up to 200 letters, digits, '.', '_' and '-'"
	}
	return ""
}
