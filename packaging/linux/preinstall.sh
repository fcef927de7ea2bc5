#!/bin/sh
# The user comes before the files, because files belong to its group.
set -e
getent group indelible >/dev/null || groupadd --system indelible
getent passwd indelible >/dev/null || useradd --system --gid indelible \
  --home-dir /var/lib/indelible --no-create-home --shell /usr/sbin/nologin \
  --comment "Indelible audit log" indelible
