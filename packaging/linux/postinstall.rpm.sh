#!/bin/sh
# rpm: 1 at the first installation, 2 at an upgrade. RPM systems start services by preset.
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
  if [ "$1" -eq 1 ]; then
    systemctl preset indelible.service || :
  else
    systemctl try-restart indelible.service || :
  fi
fi
