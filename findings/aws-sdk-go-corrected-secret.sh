#!/usr/bin/env bash
# aws-sdk-go-v2 1.48.0: a v4.Signer that has signed once goes on signing with the secret of that first time
# until the day (UTC) ends, whatever secret it is given, as long as the access key's id is the same: the key
# that it derives is kept under region, service and id, and the secret is not compared. Guess before: the
# secret that comes with each call is the one that signs it, since credentials are an argument of SignHTTP.
# Whoever corrects a mistyped secret in the shared file gets SignatureDoesNotMatch for the rest of the day
# from a process that has loaded the right one. (One id with a new secret is how S3-compatible
# servers rotate a root user; in AWS a new secret comes with a new id.)
#
# Seen 2026-11-30, Go 1.26:
#   same signer, corrected secret  signs as the wrong one
#   same signer, next day          signs as the right one
#   same signer, other id          signs as the right one
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func sign(s *v4.Signer, id, secret string, at time.Time) string {
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1/bucket/call-1.json", nil)
	if err == nil {
		err = s.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", at)
	}
	if err != nil {
		panic(err)
	}
	return r.Header.Get("Authorization")
}

func main() {
	day := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	used := v4.NewSigner()
	sign(used, "ID", "wrong", day)
	ok := true
	for _, c := range []struct {
		what, id string
		at       time.Time
		stale    bool
	}{{"corrected secret", "ID", day, true}, {"next day", "ID", day.Add(24 * time.Hour), false}, {"other id", "OTHER", day, false}} {
		got := sign(used, c.id, "right", c.at)
		as := "something else"
		switch got {
		case sign(v4.NewSigner(), c.id, "wrong", c.at):
			as = "the wrong one"
		case sign(v4.NewSigner(), c.id, "right", c.at):
			as = "the right one"
		}
		fmt.Printf("same signer, %-17s signs as %s\n", c.what, as)
		ok = ok && (as == "the wrong one") == c.stale && as != "something else"
	}
	if !ok {
		os.Exit(1)
	}
}
GO
export GOFLAGS=-mod=mod GOWORK=off
go mod init finding >/dev/null 2>&1
go get github.com/aws/aws-sdk-go-v2@v1.48.0 >get.txt 2>&1 || { cat get.txt >&2; exit 1; }
go run .
