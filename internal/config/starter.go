package config

import (
	"cmp"
	"fmt"
	"strings"
)

// Starter is what `indelible init` asks for: the few settings that differ from one
// installation to the next. "" is the default.
type Starter struct {
	Data     string // data
	URL      string // destination.url
	Endpoint string // destination.endpoint; with an s3:// URL only
	Region   string // destination.region; with an s3:// URL only
	// Network has the doors listen for other machines, with the credentials below.
	Network   bool
	Key       S3Key  // of the S3 door
	HTTPToken Secret // of the HTTP door
}

// File is a commented configuration file with these settings. What is commented out in it
// becomes valid by taking the "# " away.
func (s Starter) File() string {
	d := Default()
	var b strings.Builder
	b.WriteString("# Configuration of Indelible, begun by \"indelible init\". \"indelible config check\" checks it, \"indelible config\n" +
		"# print\" shows every setting there is. ${NAME} in a value is replaced from the environment: for secrets.\n\n")
	b.WriteString("# Spool, signing key and lock. Acknowledged records wait here until they are stored: a disk that you trust.\n")
	fmt.Fprintf(&b, "data: %s\n\n", YAMLText(cmp.Or(s.Data, d.Data)))
	s.destination(&b)
	s.doors(&b, d)
	b.WriteString("# Health, metrics and the dashboard. Without a token one is made at the first start, and only this machine is answered.\n")
	fmt.Fprintf(&b, "admin:\n  listen: %s\n  # token: ${INDELIBLE_ADMIN_TOKEN}\n  # operator_token: ${INDELIBLE_ADMIN_OPERATOR_TOKEN}\n\n", YAMLText(string(d.Admin.Listen)))
	b.WriteString("# The longest time until a record is covered by a signed checkpoint in the bucket.\nproof:\n  checkpoint_every: 1m\n")
	return b.String()
}

func (s Starter) destination(b *strings.Builder) {
	if s.URL == "" {
		b.WriteString("# Where records end up: for now a directory, <data>/store. In a bucket, with the usual AWS credentials:\n# destination:\n#   url: s3://audit/llm\n#   region: eu-west-1\n\n")
		return
	}
	b.WriteString("# Where records end up. ")
	if !strings.HasPrefix(s.URL, "s3:") {
		fmt.Fprintf(b, "A bucket is s3://bucket/prefix.\ndestination:\n  url: %s\n\n", YAMLText(s.URL))
		return
	}
	b.WriteString("Credentials are found as every AWS program finds them: environment, profile, role.\n")
	fmt.Fprintf(b, "destination:\n  url: %s\n", YAMLText(s.URL))
	for _, o := range []struct{ name, value, example string }{
		{"endpoint", s.Endpoint, "https://minio.example:9000  # an S3-compatible server in place of AWS"},
		{"region", s.Region, "eu-west-1"},
	} {
		if o.value != "" {
			fmt.Fprintf(b, "  %s: %s\n", o.name, YAMLText(o.value))
		} else {
			fmt.Fprintf(b, "  # %s: %s\n", o.name, o.example)
		}
	}
	b.WriteString("  # Nobody can delete a record before its time, in a bucket that has Object Lock:\n  # object_lock: {mode: governance, retain: 180d}\n\n")
}

func (s Starter) doors(b *strings.Builder, d Config) {
	s3, http := string(d.Doors.S3.Listen), string(d.Doors.HTTP.Listen)
	if !s.Network {
		b.WriteString("# Where records come in. Without keys and tokens a door answers this machine only.\ndoors:\n")
		fmt.Fprintf(b, "  s3:\n    listen: %s\n    # keys: [\"litellm:${INDELIBLE_SECRET}\"]\n  http:\n    listen: %s\n    # tokens: [\"${INDELIBLE_TOKEN}\"]\n\n", YAMLText(s3), YAMLText(http))
		return
	}
	s3, http = everywhere(s3), everywhere(http)
	b.WriteString("# Where records come in, from other machines too. Keep this file to yourself: it holds what senders sign with.\n" +
		"# Nothing is encrypted on the way unless a door has tls: {cert: FILE, key: FILE}, or something before it does that.\ndoors:\n")
	fmt.Fprintf(b, "  s3:\n    listen: %s\n    keys: [%s]\n    # tls: {cert: /etc/indelible/tls.crt, key: /etc/indelible/tls.key}\n", YAMLText(s3), YAMLText(s.Key.ID+":"+s.Key.Secret.Reveal()))
	fmt.Fprintf(b, "  http:\n    listen: %s\n    tokens: [%s]\n    # tls: {cert: /etc/indelible/tls.crt, key: /etc/indelible/tls.key}\n\n", YAMLText(http), YAMLText(s.HTTPToken.Reveal()))
}

// everywhere is an address on every interface.
func everywhere(addr string) string { return "0.0.0.0" + addr[strings.LastIndexByte(addr, ':'):] }
