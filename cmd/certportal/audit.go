package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"certportal/ca"
	"certportal/internal/auditmonitor"
)

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

// node names this replica.
func (s *Settings) node() string {
	if s.Node != "" {
		return s.Node
	}
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// targets are where copies of the audit log go.
func (s *Settings) targets() ([]auditmonitor.Target, error) {
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
		roots, err := readRoots(s.Audit.SyslogCAFile)
		if err != nil {
			return nil, fmt.Errorf("audit.syslog_ca_file: %w", err)
		}
		targets = append(targets, auditmonitor.Syslog{
			Address: address, TLS: &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12},
		})
	}
	if s.Audit.File != "" {
		targets = append(targets, auditmonitor.File{Path: s.Audit.File, Node: s.node()})
	}
	return targets, nil
}

// openAudit makes what keeps the audit log. The key that signs it lies in the
// records under the passphrase of the CA, so that replicas share it.
func (p *App) openAudit(context.Context, *terminal) error {
	targets, err := p.settings.targets()
	if err != nil {
		return err
	}
	keys, err := p.ledgerKeys()
	if err != nil {
		return err
	}
	c := auditmonitor.Config{
		Store: p.db, Certified: auditmonitor.CertifiedBy(p.authority.folder.Issuing(), p.db),
		Node: p.settings.node(), CheckpointEvery: p.settings.Audit.SealEvery, Targets: targets, Now: p.now, Log: p.log,
	}
	if p.authority.sealed == nil {
		c.Key = keys.Key
	} else {
		p.log.Warn("the CA is sealed: the end of the audit log is not signed")
	}
	p.audit, err = auditmonitor.New(c)
	return err
}

func (p *App) ledgerKeys() (*auditmonitor.Keys, error) {
	c := auditmonitor.KeyConfig{
		Store: p.db, Issuer: p.openOwnIssuer(), Now: p.now,
		Certificate: ca.AuditSignerConfig{
			CRLURLs:    []string{crlURL(p.public.http, issuingName)},
			IssuerURLs: []string{certificateURL(p.public.http, issuingName)},
			OCSPURLs:   []string{ocspURL(p.public.http)},
		},
		// Both take 64 MiB for a moment; the portal lives in less.
		Encrypt: func(key crypto.Signer) ([]byte, error) {
			defer debug.FreeOSMemory()
			return ca.SealKey(key, p.authority.passphrase)
		},
		Decrypt: func(file []byte) (crypto.Signer, error) {
			defer debug.FreeOSMemory()
			return ca.OpenKey(file, p.authority.passphrase)
		},
	}
	return auditmonitor.NewKeys(c)
}
