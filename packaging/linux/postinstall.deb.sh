#!/bin/sh
# dpkg: configure <version that was configured before>
set -e
if [ "$1" = configure ]; then
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
  if [ -z "$2" ]; then
    systemctl enable indelible.service || true
    if [ -d /run/systemd/system ]; then systemctl start indelible.service || true; fi
  elif [ -d /run/systemd/system ]; then
    systemctl try-restart indelible.service || true
  fi
fi
