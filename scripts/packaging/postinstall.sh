#!/bin/sh
# After the files are there: account, folders, unit. deb calls it with "configure" and the
# version before, rpm with the number of versions that are installed.
set -e
if ! getent passwd certportal >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/certportal --no-create-home \
		--shell /usr/sbin/nologin certportal
fi
# Folders that are there keep their modes and owners.
[ -e /etc/certportal ] || install -d -m 0755 /etc/certportal
[ -e /var/lib/certportal ] || install -d -m 0700 -o certportal -g certportal /var/lib/certportal
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart certportal.service || true
	# 78: the older program refused the settings or the database, and systemd did not try again.
	if [ "$(systemctl show -p ExecMainStatus --value certportal.service)" = 78 ] && systemctl is-failed --quiet certportal.service; then
		systemctl reset-failed certportal.service || true
		systemctl start --no-block certportal.service || true
	fi
fi
case "$1 $2" in
"configure " | "1 ") echo "certportal is installed. Next: certportal setup" ;;
esac
