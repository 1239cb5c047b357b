// Certportal is a self-service portal on which people fetch a certificate for
// their phone, so that mail opens without a password.
//
//	certportal demo      try it out, with sample people
//	certportal serve     run it
//	certportal help      all commands
//
// Settings come from a YAML file (--config) and from environment variables
// (CERTPORTAL_…); "certportal config example" prints all of them with their
// meaning and default, "certportal config check" finds mistakes. Secrets come
// from files, systemd credentials or a prompt, never from the command line.
//
// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 there is something to do (migrate --check),
// 78 the database belongs to a newer program, or its records were moved to another one. On SIGINT,
// SIGTERM or SIGHUP the portal answers what it has begun and ends, within 15 seconds; a second
// signal ends it at once.
//
// Files, all below the data folder (default ./certportal-data):
//
//	portal.db          records (SQLite), unless a PostgreSQL is set
//	ca/                root.crt, root.key, issuing.crt, issuing.key; keys encrypted
//	ca.new/            a new CA until it is recorded
//	ca-passphrase      passphrase of the CA's keys, when no other is set
//	tls/               the portal's own TLS certificate from the embedded CA
//	portal.lock        held by the portal that runs on the folder
//	last-start.json    addresses of the last start, for doctor
//	last-backup.json   how the last backup went, for doctor
//	before-upgrade.key opens backups of before an upgrade that are in this folder
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zones by name where the machine has none: in a container

	"certportal/cmd/certportal/internal/config"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the program at once
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}, config.Environment()))
}

// streams are the program's standard files; tests give their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes of the program.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG of sysexits: another start of this program cannot help
)
