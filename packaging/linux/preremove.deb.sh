#!/bin/sh
set -e
if [ "$1" = remove ]; then
  if [ -d /run/systemd/system ]; then systemctl stop indelible.service; fi
  systemctl disable indelible.service || true
fi
