#!/bin/sh
# After the files are there: account, folders, unit. deb calls it with "configure" and the
# version before, rpm with the number of versions that are installed.
set -e
if ! getent passwd certportal >/dev/null; then
	useradd --system --user-group --home-dir /var/lib/certportal --no-create-home \
		--shell /usr/sbin/nologin certportal
fi
install -d -m 0755 /etc/certportal
install -d -m 0700 -o certportal -g certportal /var/lib/certportal
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart certportal.service || true
fi
case "$1 $2" in
"configure " | "1 ") echo "certportal is installed. Next: certportal setup" ;;
esac
