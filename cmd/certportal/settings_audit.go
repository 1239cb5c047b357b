package main

import "time"

// AuditSettings say how the audit log is signed and where copies of it go. A copy
// on another machine is what shows tampering by who administers this one.
type AuditSettings struct {
	// Time between two signatures over the end of the audit log.
	SealEvery time.Duration `yaml:"seal_every" env:"SEAL_EVERY"`

	// Syslog server that gets every entry over TLS (RFC 5424, RFC 5425), such as
	// tls://logs.corp.example:6514. While it is down entries wait in the database.
	Syslog string `yaml:"syslog" env:"SYSLOG"`

	// File with the CA certificates (PEM or DER) that sign the certificate of the
	// syslog server. Default: the CAs this machine trusts.
	SyslogCAFile string `yaml:"syslog_ca_file" env:"SYSLOG_CA_FILE"`

	// File to which every entry is appended as a line of JSON. It may be renamed
	// at any time. Each replica writes its own, with the entries of all.
	File string `yaml:"file" env:"FILE"`
}
