#!/bin/sh
# After the files are gone. A purge removes settings, account and folders, but never a CA:
# without its keys and their passphrase every phone would be refused.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
[ "$1" = purge ] || exit 0
if [ -n "$(ls -A /var/lib/certportal 2>/dev/null)" ]; then
	echo "kept: /var/lib/certportal, with the CA and its records, and /etc/certportal, with the passphrase of its keys."
	echo "When no certificate of this CA is used any more: rm -r /var/lib/certportal /etc/certportal; userdel certportal"
	exit 0
fi
rm -rf /var/lib/certportal /etc/certportal /etc/systemd/system/certportal.service.d
if getent passwd certportal >/dev/null; then
	userdel certportal
fi
