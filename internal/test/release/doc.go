// Package release installs what scripts/release makes: the .deb in a small Debian of its
// own, the .rpm as far as Debian's rpm reads it. systemd-analyze judges the unit. It has no
// code.
package release
