#!/bin/sh
# After the files are gone. A purge removes account and folders, but never a CA, nor a file
# beside the settings that did not come with the package: without its keys and their
# passphrase every phone would be refused. The account stays as long as a data folder does,
# also one elsewhere, which the settings name until they are purged.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
data=$(sed -n "s/^data:[[:space:]]*[\"']\{0,1\}\([^\"'#]*[^\"'#[:space:]]\).*/\1/p" /etc/certportal/certportal.yaml 2>/dev/null | head -n 1)
case "$data" in
"" | /var/lib/certportal | /var/lib/certportal/) ;;
*) [ ! -d "$data" ] || echo "$data" >/etc/certportal/data-folder ;;
esac
[ "$1" = purge ] || exit 0
kept=
if [ -f /etc/certportal/data-folder ]; then
	read -r data </etc/certportal/data-folder
	if [ -d "$data" ]; then
		kept=" $data"
	else
		rm -f /etc/certportal/data-folder
	fi
fi
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
