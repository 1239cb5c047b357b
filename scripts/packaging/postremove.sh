#!/bin/sh
# After the files are gone. A purge removes account and folders, but never a CA, nor a file
# beside the settings that did not come with the package: without its keys and their
# passphrase every phone would be refused, and the data folder may be elsewhere.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
[ "$1" = purge ] || exit 0
kept=
for folder in /var/lib/certportal /etc/certportal; do
	[ -d "$folder" ] || continue
	rmdir "$folder" 2>/dev/null || kept="$kept $folder"
done
if [ -n "$kept" ]; then
	echo "kept:$kept, with what the CA needs: its keys, its records or their passphrase."
	echo "When no certificate of this CA is used any more: rm -r$kept; userdel certportal"
	exit 0
fi
rm -rf /etc/systemd/system/certportal.service.d
if getent passwd certportal >/dev/null; then
	userdel certportal
fi
