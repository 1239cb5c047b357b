#!/bin/sh
# Before the files go: the service ends. An upgrade restarts it later.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now certportal.service || true
	fi
	;;
esac
