package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"certportal/internal/auditmonitor"
)

// AuditSettings say how the audit log is signed and where copies of it go. A copy
// on another machine is what shows tampering by who administers this one.
type AuditSettings struct {
	// Time between two signatures over the end of the audit log.
	SealEvery time.Duration `yaml:"seal_every"`

	// Syslog server that gets every entry over TLS (RFC 5424, RFC 5425), such as
	// tls://logs.corp.example:6514. While it is down entries wait in the database.
	Syslog string `yaml:"syslog"`

	// File with the CA certificates (PEM or DER) that sign the certificate of the
	// syslog server. Default: the CAs this machine trusts.
	SyslogCAFile string `yaml:"syslog_ca_file"`

	// File to which every entry is appended as a line of JSON. It may be renamed
	// at any time. Each replica writes its own, with the entries of all.
	File string `yaml:"file"`
}

// checkAudit finds mistakes in what the audit log does.
func (s *Settings) checkAudit() error {
	var errs []error
	if e := s.Audit.SealEvery; e < time.Second || e > 24*time.Hour {
		errs = append(errs, mistake("audit.seal_every", e, "choose 1s to 24h, such as 10m"))
	}
	if _, err := syslogAddress(s.Audit.Syslog); s.Audit.Syslog != "" && err != nil {
		errs = append(errs, mistake("audit.syslog", s.Audit.Syslog, "write tls://HOST:PORT"))
	}
	if s.Audit.SyslogCAFile != "" && s.Audit.Syslog == "" {
		errs = append(errs, errors.New("audit.syslog: name it too, else audit.syslog_ca_file does nothing"))
	}
	if len(s.Node) > 255 {
		errs = append(errs, mistake("node", s.Node, "give a name of at most 255 bytes"))
	}
	return errors.Join(errs...)
}

// syslogAddress takes tls://HOST:PORT apart.
func syslogAddress(text string) (hostPort string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 || u.Scheme != "tls" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("not an address of the form tls://HOST:PORT")
	}
	return u.Host, nil
}

// NodeName is the name of this replica: the setting, else the host's name.
func (s *Settings) NodeName() string {
	if s.Node != "" {
		return s.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// AuditTargets are where copies of the audit log go.
func (s *Settings) AuditTargets() ([]auditmonitor.Target, error) {
	var targets []auditmonitor.Target
	if s.Audit.Syslog != "" {
		address, err := syslogAddress(s.Audit.Syslog)
		if err != nil {
			return nil, fmt.Errorf("audit.syslog: %w", err)
		}
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("audit.syslog: %w", err)
		}
		roots, err := ReadRoots(s.Audit.SyslogCAFile)
		if err != nil {
			return nil, fmt.Errorf("audit.syslog_ca_file: %w", err)
		}
		targets = append(targets, auditmonitor.Syslog{
			Address: address, TLS: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12},
		})
	}
	if s.Audit.File != "" {
		targets = append(targets, auditmonitor.File{Path: s.Audit.File, Node: s.NodeName()})
	}
	return targets, nil
}
