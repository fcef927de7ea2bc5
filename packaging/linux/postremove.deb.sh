#!/bin/sh
# Records are never deleted by a package: purge leaves /var/lib/indelible and its user.
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
if [ "$1" = purge ] && [ -d /var/lib/indelible ]; then
  echo "indelible: /var/lib/indelible is kept: it has records and the key of the log" >&2
fi
