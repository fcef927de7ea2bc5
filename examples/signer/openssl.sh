#!/bin/sh
# Signs for a log of Indelible with Ed25519 keys in PEM files: proof.key: "command:openssl.sh DIRECTORY".
# It shows the protocol (docs/signer.md); a program for a KMS or HSM does the same with another call.
#
# The newest of DIRECTORY/*.pem by name is the key that the log is to use; the older ones go on signing until
# the log has changed to it. A new one: openssl genpkey -algorithm ed25519 -out DIRECTORY/2.pem
set -eu
dir=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
public() { openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | base64 | tr -d '\n'; }

read -r version request algorithm key message || true
[ "$version" = indelible-signer-v1 ] || { echo "error the request is of version $version"; exit; }
case $request in
public)
	for pem in "$dir"/*.pem; do newest=$pem; done
	[ -f "$newest" ] || { echo "error no key in $dir"; exit; }
	echo "public ed25519 $(public "$newest")"
	;;
sign)
	for pem in "$dir"/*.pem; do
		[ -f "$pem" ] && [ "$(public "$pem")" = "$key" ] || continue
		printf %s "$message" | base64 -d >"$work/message"
		openssl pkeyutl -sign -rawin -inkey "$pem" -in "$work/message" -out "$work/signature"
		echo "signature $(base64 "$work/signature" | tr -d '\n')"
		exit
	done
	echo "error the $algorithm key $key is not here"
	;;
*)
	echo "error the request $request is not known"
	;;
esac
