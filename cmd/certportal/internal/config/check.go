package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"certportal/ca"
)

// Check finds every mistake that can be seen without opening anything.
func (s *Settings) Check() error {
	return errors.Join(
		s.checkAddresses(),
		s.checkOps(),
		s.checkCheckPage(),
		s.checkTLS(),
		s.checkACME(),
		s.checkKinds(),
		s.checkTokens(),
		s.checkUpstreamTokens(),
		s.checkRevocation(),
		s.checkCertificates(),
		s.checkPeople(),
		s.checkDevices(),
		s.checkAdmin(),
		s.checkPages(),
		s.checkHelpdesk(),
		s.checkMail(),
		s.checkAudit(),
		s.checkBackup(),
		s.checkUpstreams(),
		s.checkLog(),
	)
}

// mistake is one wrong setting: key, value, and what would be right.
func mistake(key string, value any, want string) error {
	return fmt.Errorf("%s: found %q: %s", key, fmt.Sprint(value), want)
}

func (s *Settings) checkAddresses() error {
	var errs []error
	if s.Data == "" {
		errs = append(errs, mistake("data", s.Data, "name a folder"))
	}
	if n := len(s.Organization); strings.TrimSpace(s.Organization) == "" || n > maxOrganization {
		errs = append(errs, mistake("organization", s.Organization, fmt.Sprintf("give the company's name in at most %d bytes: it stands in the CA's", maxOrganization)))
	}
	for key, value := range map[string]string{"listen": s.Listen, "listen_http": s.ListenHTTP} {
		if !listenable(value) {
			errs = append(errs, mistake(key, value, "write ADDRESS:PORT or :PORT, with a port of 0 to 65535"))
		}
	}
	errs = append(errs, s.checkPorts(), checkURL("public_url", s.PublicURL, "https"), checkURL("public_http_url", s.PublicHTTPURL, "http"))
	if s.Database != "" && s.DatabaseFile != "" {
		errs = append(errs, mistake("database_file", s.DatabaseFile, "give database or database_file, not both"))
	}
	if db := s.Database; db != "" && !strings.HasPrefix(db, "sqlite:") && !strings.HasPrefix(db, "postgres://") && !strings.HasPrefix(db, "postgresql://") {
		errs = append(errs, errors.New("database: write sqlite:FILE or postgres://USER@HOST/DATABASE"))
	}
	return errors.Join(errs...)
}

// checkPorts refuses one port for two listeners. Port 0 is a free one each.
func (s *Settings) checkPorts() error {
	type listener struct{ key, host, port string }
	var seen []listener
	for _, l := range []listener{{key: "listen", host: s.Listen}, {key: "listen_http", host: s.ListenHTTP}, {key: "listen_ops", host: s.ListenOps}, {key: "listen_check", host: s.ListenCheck}, {key: "listen_revoker", host: s.ListenRevoker}} {
		address := l.host
		var err error
		if l.host, l.port, err = net.SplitHostPort(address); err != nil || l.port == "0" || l.key == "listen_ops" && address == DefaultOps || l.key == "listen_check" && address == DefaultCheck {
			continue // reported by form; the portal runs without these where the default port is taken
		}
		for _, other := range seen {
			if l.port == other.port && (l.host == other.host || anyAddress(l.host) || anyAddress(other.host)) {
				return mistake(l.key, address, "it is the port of "+other.key+" too: choose another")
			}
		}
		seen = append(seen, l)
	}
	return nil
}

// anyAddress reports whether a listener with this host takes the port on all addresses.
func anyAddress(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// checkURL accepts scheme://host[:port] without path, query or user.
func checkURL(key, value, scheme string) error {
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != scheme || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return mistake(key, value, "write "+scheme+"://HOST or "+scheme+"://HOST:PORT, without a path")
	}
	_, badAddress := netip.ParseAddr(u.Hostname())
	if badAddress != nil && (!isHostName(u.Hostname()) || len(u.Hostname()) > maxHost) {
		return mistake(key, value, fmt.Sprintf("the host must be a name of letters, digits, hyphens and dots, at most %d, or an IP address", maxHost))
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return mistake(key, value, "the port must be 1 to 65535")
	}
	return nil
}

const (
	// maxOrganization leaves room for " Issuing CA" in a common name of 64 (RFC
	// 5280 appendix A.1, ub-common-name).
	maxOrganization = 53
	maxHost         = 64
)

func (s *Settings) checkTLS() error {
	var errs []error
	switch t := s.TLS; {
	case t.Certificate != "" && t.Key == "":
		errs = append(errs, errors.New("tls.key: name the file with the key of tls.certificate: certificate and key go together"))
	case t.Certificate == "" && t.Key != "":
		errs = append(errs, errors.New("tls.certificate: name the file with the certificate of tls.key: certificate and key go together"))
	}
	for i, name := range s.TLS.Names {
		if _, err := netip.ParseAddr(name); err != nil && !isHostName(name) {
			errs = append(errs, mistake(fmt.Sprintf("tls.names[%d]", i), name, "write a host name or an IP address"))
		}
	}
	for i, network := range s.TrustedProxies {
		if _, err := parseNetwork(network); err != nil {
			errs = append(errs, mistake(fmt.Sprintf("trusted_proxies[%d]", i), network, err.Error()))
		}
	}
	for i, a := range s.Anchors {
		if strings.TrimSpace(a.Name) == "" || a.File == "" {
			errs = append(errs, fmt.Errorf("anchors[%d]: give name and file", i))
		}
	}
	return errors.Join(errs...)
}

func (s *Settings) checkKinds() error {
	var errs []error
	for key, kind := range map[string]*ca.KeyKind{
		"ca.root_key": &s.CA.RootKey, "ca.issuing_key": &s.CA.IssuingKey, "certificates.key": &s.Certificates.Key,
	} {
		if _, err := ca.ParseKeyKind(string(*kind)); err != nil {
			errs = append(errs, mistake(key, *kind, "choose rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384"))
		}
	}
	for key, kind := range map[string]ca.KeyKind{"ca.root_key": s.CA.RootKey, "ca.issuing_key": s.CA.IssuingKey} {
		if kind == ca.RSA2048 {
			errs = append(errs, mistake(key, kind, "a CA lives for years: choose rsa-3072 or more, or an EC key"))
		}
	}
	if s.CA.Subject != "" {
		if _, err := ca.ParseCAName(s.CA.Subject); err != nil {
			errs = append(errs, fmt.Errorf("ca.subject: %w", err))
		}
	}
	return errors.Join(errs...)
}

// checkTokens checks the names of module, tokens and PINs.
func (s *Settings) checkTokens() error {
	var errs []error
	p := s.CA.PKCS11
	tokens := map[string]string{"ca.pkcs11.issuing_token": p.IssuingToken, "ca.pkcs11.root_token": p.RootToken}
	switch {
	case p.Module == "" && (p.IssuingToken != "" || p.RootToken != ""):
		errs = append(errs, errors.New("ca.pkcs11.module: name the shared library of the HSM: tokens are in it"))
	case p.Module != "" && !filepath.IsAbs(p.Module):
		errs = append(errs, mistake("ca.pkcs11.module", p.Module, "write the whole path, so that no other library is loaded"))
	case p.Module != "" && p.IssuingToken == "" && p.RootToken == "" && len(s.UpstreamTokens()) == 0:
		errs = append(errs, errors.New("ca.pkcs11.issuing_token: name the token for the keys: a module alone has none"))
	}
	for key, label := range tokens {
		if len(label) > maxTokenLabel || strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }) {
			errs = append(errs, mistake(key, label, fmt.Sprintf("write the label of the token, at most %d bytes", maxTokenLabel)))
		}
	}
	if p.RootToken != "" && p.RootToken == p.IssuingToken && p.RootPINFile != p.IssuingPINFile {
		errs = append(errs, mistake("ca.pkcs11.root_pin_file", p.RootPINFile, "it is one token: name the same file as in ca.pkcs11.issuing_pin_file"))
	}
	if len(p.Label) > 64 || strings.TrimSpace(p.Label) != p.Label || p.Label == "" || strings.ContainsFunc(p.Label, func(r rune) bool { return !unicode.IsPrint(r) }) {
		errs = append(errs, mistake("ca.pkcs11.label", p.Label, "write a word, at most 64 bytes"))
	}
	return errors.Join(errs...)
}

// maxTokenLabel is that of PKCS#11.
const maxTokenLabel = 32

func (s *Settings) checkCertificates() error {
	c, between := s.Certificates, func(n, low, high int) bool { return n >= low && n <= high }
	var errs []error
	if !between(c.Days, 1, 1095) {
		errs = append(errs, mistake("certificates.days", c.Days, "choose 1 to 1095"))
	}
	if !between(c.Devices, 1, 1000) {
		errs = append(errs, mistake("certificates.devices", c.Devices, "choose 1 to 1000"))
	}
	if !between(c.PerHour, 1, 100_000) {
		errs = append(errs, mistake("certificates.per_hour", c.PerHour, "choose 1 to 100000"))
	}
	if !between(c.RenewFromDays, 1, 365) {
		errs = append(errs, mistake("certificates.renew_from_days", c.RenewFromDays, "choose 1 to 365"))
	}
	if !between(c.OverlapDays, 1, 30) {
		errs = append(errs, mistake("certificates.overlap_days", c.OverlapDays, "choose 1 to 30"))
	}
	if !between(c.PreparedKeys, 0, 1000) {
		errs = append(errs, mistake("certificates.prepared_keys", c.PreparedKeys, "choose 0 to 1000"))
	}
	errs = append(errs, s.checkSubject())
	for _, usage := range c.Usages {
		if !slices.Contains([]string{"clientAuth", "emailProtection", "efs"}, usage) {
			errs = append(errs, mistake("certificates.usages", usage, "choose from clientAuth, emailProtection, efs"))
		}
	}
	if !slices.Contains(c.Usages, "clientAuth") {
		errs = append(errs, mistake("certificates.usages", strings.Join(c.Usages, ","), "clientAuth must be among them: mail servers ask for it"))
	}
	return errors.Join(errs...)
}

func (s *Settings) checkSubject() error {
	form, err := ca.ParseSubjectForm(string(s.Certificates.Subject))
	switch {
	case err != nil:
		return mistake("certificates.subject", s.Certificates.Subject, "choose upn, display_name or directory_name")
	case form == ca.SubjectDirectoryName && s.Directory.Kind == KindBuiltin:
		return mistake("certificates.subject", form, "the built-in directory has no distinguished names: choose upn or display_name")
	}
	return nil
}

func (s *Settings) checkPages() error {
	var errs []error
	if s.Pages.Accent != "" && !regexp.MustCompile(`^#[0-9a-fA-F]{6}$`).MatchString(s.Pages.Accent) {
		errs = append(errs, mistake("pages.accent", s.Pages.Accent, "write a colour as #rrggbb"))
	}
	if u, err := url.Parse(s.Pages.PasswordURL); s.Pages.PasswordURL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		errs = append(errs, mistake("pages.password_url", s.Pages.PasswordURL, "write an address that starts with https://"))
	}
	if _, err := s.location(); err != nil {
		errs = append(errs, mistake("pages.time_zone", s.Pages.TimeZone, "write an area and a place, such as Europe/Berlin, or UTC"))
	}
	return errors.Join(errs...)
}

func (s *Settings) checkLog() error {
	var level slog.Level
	var errs []error
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		errs = append(errs, mistake("log_level", s.LogLevel, "choose debug, info, warn or error"))
	}
	if s.LogFormat != "text" && s.LogFormat != "json" {
		errs = append(errs, mistake("log_format", s.LogFormat, "choose text or json"))
	}
	return errors.Join(errs...)
}

// CheckFiles opens what the settings name: the second half of "config check".
func (s *Settings) CheckFiles() error {
	var errs []error
	for key, file := range map[string]string{
		"apple.signer_certificate": s.Apple.SignerCertificate, "apple.signer_key": s.Apple.SignerKey,
		"pages.logo": s.Pages.Logo, "database_file": s.DatabaseFile,
	} {
		if file == "" {
			continue
		}
		if _, err := os.ReadFile(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	for key, file := range map[string]string{
		"ca.passphrase_file": s.CA.PassphraseFile, "directory.password_file": s.Directory.PasswordFile,
		"ca.pkcs11.issuing_pin_file": s.CA.PKCS11.IssuingPINFile, "ca.pkcs11.root_pin_file": s.CA.PKCS11.RootPINFile,
		"openid.client_secret_file": s.OpenID.ClientSecretFile, "backup.passphrase_file": s.Backup.PassphraseFile,
		"revocation.ldap.password_file": s.Revocation.LDAP.PasswordFile,
	} {
		if file == "" || key == "ca.passphrase_file" && file == Prompt {
			continue
		}
		if _, err := ReadSecret(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	for key, file := range map[string]string{"directory.ca_file": s.Directory.CAFile, "openid.ca_file": s.OpenID.CAFile, "mail.ca_file": s.Mail.CAFile, "audit.syslog_ca_file": s.Audit.SyslogCAFile, "revocation.ldap.ca_file": s.Revocation.LDAP.CAFile} {
		if _, err := ReadRoots(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	return errors.Join(append(errs, s.checkTLSFiles(), s.checkACMEFiles(), s.checkAnchors(), s.checkMailFiles(), s.checkUpstreamFiles(), s.CheckPermissions())...)
}

// checkTLSFiles reads the portal's own TLS certificate and its key.
func (s *Settings) checkTLSFiles() error {
	var errs []error
	for key, file := range map[string]string{"tls.certificate": s.TLS.Certificate, "tls.key": s.TLS.Key} {
		if file == "" {
			continue // reported by checkTLS when the other is there
		}
		if _, err := os.ReadFile(file); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if len(errs) > 0 || s.TLS.Certificate == "" || s.TLS.Key == "" {
		return errors.Join(errs...)
	}
	if _, err := tls.LoadX509KeyPair(s.TLS.Certificate, s.TLS.Key); err != nil {
		return fmt.Errorf("tls.certificate: it does not go with tls.key: write the portal's own certificate first in the file, "+
			"then the CAs above it, and name the key it was requested with: %w", err)
	}
	return nil
}
