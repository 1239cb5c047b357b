package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"certportal/ca/upstream/kerberos"
)

// UpstreamSettings describe a CA that the portal does not run.
type UpstreamSettings struct {
	// Short name for certificates.issuer, records and pages: small letters, digits,
	// hyphens. It must never change while certificates of this CA are in use.
	Name string `yaml:"name"`

	// What it is: step-ca, vault (and OpenBao), est, ejbca, adcs (the certificate
	// enrolment web service) or certsrv (web enrolment pages of AD CS).
	Kind string `yaml:"kind"`

	// Address: https. For step-ca, vault, est and ejbca of the server; for adcs of the
	// service, such as https://ces.corp.example/Corp-CA_CES_Certificate/service.svc/CES; for
	// certsrv of the pages, such as https://ca.corp.example/certsrv.
	URL string `yaml:"url"`

	// Addresses of further enrolment web services of the same CA, asked in this order when one
	// before them cannot be reached: of adcs. A request that one may have got goes to no other.
	FurtherURLs []string `yaml:"further_urls"`

	// File with its root and the CA certificates below it, PEM. Only what they signed is
	// handed out.
	Chain string `yaml:"chain"`

	// File with the roots of its TLS certificate. Default: those of the system.
	ServerCAFile string `yaml:"server_ca_file"`

	// TLS client certificate of the portal, PEM, and its key: a PEM file, plain or encrypted
	// (ENCRYPTED PRIVATE KEY), or a key in hardware, such as
	// pkcs11:token=Portal;object=svc-portal, in a token of ca.pkcs11.module. The third is the
	// file with the passphrase of the key file, or with the PIN of the token.
	Certificate       string `yaml:"certificate"`
	Key               string `yaml:"key"`
	KeyPassphraseFile string `yaml:"key_passphrase_file"`

	// Account of the portal, where it has no TLS client certificate: of est, adcs and certsrv.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`

	// Sign in to adcs or certsrv by Kerberos, bound to the TLS connection, with this keytab in
	// the place of a password. user is then such as svc-portal@CORP.EXAMPLE. The second is a
	// krb5.conf that names the KDCs. Default: those that DNS names.
	KeytabFile     string `yaml:"keytab_file"`
	Krb5ConfigFile string `yaml:"krb5_config_file"`

	// Sign in to certsrv by NTLM, bound to the TLS connection, in the place of Basic.
	NTLM bool `yaml:"ntlm"`

	// Common name of the certificate template: of adcs and certsrv.
	Template string `yaml:"template"`

	// NetBIOS name of the domain of people, as in CORP\anna: of adcs and certsrv with an
	// enrolment agent.
	Domain string `yaml:"domain"`

	// Certificate of the enrolment agent that requests for people, PEM, its key, and the file
	// with the passphrase or PIN, as with key: of adcs and certsrv.
	AgentCertificate       string `yaml:"agent_certificate"`
	AgentKey               string `yaml:"agent_key"`
	AgentKeyPassphraseFile string `yaml:"agent_key_passphrase_file"`

	// File with the TLS client certificate of the host that revokes for a CA of est, adcs or
	// certsrv (listen_revoker), PEM; two while one takes the place of the other. Only
	// these certificates themselves are accepted, not others of their CA.
	RevokerCertificate string `yaml:"revoker_certificate"`

	// Name of the JWK provisioner of step-ca. password_file opens its key.
	Provisioner        string `yaml:"provisioner"`
	ProvisionerKeyFile string `yaml:"provisioner_key_file"`

	// Engine and role of vault, its namespace, and the file with its token. by_role signs by
	// sign/ROLE, which cannot issue the SID extension: see sid_by_uri.
	Mount     string `yaml:"mount"`
	Role      string `yaml:"role"`
	Namespace string `yaml:"namespace"`
	TokenFile string `yaml:"token_file"`
	ByRole    bool   `yaml:"by_role"`

	// In the place of a token: AppRole with the file of its secret id, or an entry of the
	// method cert. login_mount is where the method is, when not at its own name.
	AppRoleID       string `yaml:"approle_id"`
	AppRoleFile     string `yaml:"approle_secret_file"`
	CertificateRole string `yaml:"certificate_role"`
	LoginMount      string `yaml:"login_mount"`

	// One of several CAs behind one EST server.
	Label string `yaml:"label"`

	// Names of CA and profiles in ejbca, what the names of end entities begin with, and the
	// file with 32 or more characters from which their passwords are made.
	Authority          string `yaml:"authority"`
	CertificateProfile string `yaml:"certificate_profile"`
	EndEntityProfile   string `yaml:"end_entity_profile"`
	Prefix             string `yaml:"prefix"`
	SecretFile         string `yaml:"secret_file"`

	// Accept the SID as a URI in the subject alternative name. Domain controllers take it,
	// NPS does not.
	SIDByURI bool `yaml:"sid_by_uri"`

	// Policies that its certificates may have, such as 1.3.6.1.4.1.311.21.8.1. Others are
	// refused: Active Directory can link a policy to a group. Default: none.
	Policies []string `yaml:"policies"`

	// Requests that may wait for an answer at the same time. Default 50.
	InFlight int `yaml:"in_flight"`
}

// set lists the keys of the settings that are given.
func (u UpstreamSettings) set() []string {
	var keys []string
	v := reflect.ValueOf(u)
	for i, key := range settingKeys(v.Type()) {
		if !v.Field(i).IsZero() {
			keys = append(keys, key)
		}
	}
	return keys
}

// The kinds of upstream CAs.
const (
	UpstreamStepCA  = "step-ca"
	UpstreamVault   = "vault"
	UpstreamEST     = "est"
	UpstreamEJBCA   = "ejbca"
	UpstreamADCS    = "adcs"
	UpstreamCertsrv = "certsrv"
)

// Restricts reports whether the CA can deny the portal a request because of the person: AD CS
// restricts enrolment agents.
func (u UpstreamSettings) Restricts() bool {
	return u.Kind == UpstreamADCS || u.Kind == UpstreamCertsrv
}

// upstreamFields lists which settings each kind must have and may have, besides those of all.
func upstreamFields(kind string) (must, may []string, ok bool) {
	switch kind {
	case UpstreamStepCA:
		return []string{"provisioner", "provisioner_key_file"}, []string{"password_file"}, true
	case UpstreamVault:
		return []string{"role"}, []string{"mount", "namespace", "token_file", "by_role", "approle_id", "approle_secret_file",
			"certificate_role", "login_mount", "certificate", "key", "key_passphrase_file"}, true
	case UpstreamEST:
		return nil, []string{"label", "user", "password_file", "certificate", "key", "key_passphrase_file", "revoker_certificate"}, true
	case UpstreamEJBCA:
		return []string{"certificate", "key", "authority", "certificate_profile", "end_entity_profile", "secret_file"}, []string{"prefix", "key_passphrase_file"}, true
	case UpstreamADCS:
		return []string{"template"}, []string{"further_urls", "certificate", "key", "key_passphrase_file", "user", "password_file", "keytab_file", "krb5_config_file", "domain", "agent_certificate", "agent_key", "agent_key_passphrase_file",
			"revoker_certificate"}, true
	case UpstreamCertsrv:
		return []string{"template"}, []string{"certificate", "key", "key_passphrase_file", "user", "password_file", "keytab_file", "krb5_config_file", "ntlm", "domain", "agent_certificate", "agent_key", "agent_key_passphrase_file",
			"revoker_certificate"}, true
	}
	return nil, nil, false
}

// common are the settings of all kinds.
func commonUpstream() []string {
	return []string{"name", "kind", "url", "chain", "server_ca_file", "sid_by_uri", "policies", "in_flight"}
}

// checkUpstreams checks the CAs that the portal does not run, without reading their files.
func (s *Settings) checkUpstreams() error {
	var errs []error
	var names []string
	for i, u := range s.Upstreams {
		errs = append(errs, u.check(fmt.Sprintf("upstreams[%d]", i)))
		if slices.Contains(names, u.Name) {
			errs = append(errs, mistake(fmt.Sprintf("upstreams[%d].name", i), u.Name, "another one has this name"))
		}
		names = append(names, u.Name)
	}
	errs = append(errs, s.checkRevokers())
	issuer := s.Certificates.Issuer
	if issuer != "" && !slices.Contains(names, issuer) {
		errs = append(errs, mistake("certificates.issuer", issuer, "name one of upstreams, or nothing for the portal's own CA"))
	}
	if issuer != "" && s.SCEP.Enabled {
		errs = append(errs, errors.New("scep.enabled: devices that make their own key need the portal's own CA: remove certificates.issuer or scep"))
	}
	return errors.Join(errs...)
}

func (u UpstreamSettings) check(at string) error {
	var errs []error
	if !regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`).MatchString(u.Name) {
		errs = append(errs, mistake(at+".name", u.Name, "write small letters, digits and hyphens, at most 31"))
	}
	if !isServer(u.URL) {
		errs = append(errs, mistake(at+".url", u.URL, "write https://HOST and no user name or query"))
	}
	for i, further := range u.FurtherURLs {
		if !isServer(further) || further == u.URL || slices.Contains(u.FurtherURLs[:i], further) {
			errs = append(errs, mistake(fmt.Sprintf("%s.further_urls[%d]", at, i), further, "write https://HOST and no user name or query, each address once"))
		}
	}
	if _, err := u.ParsePolicies(); err != nil {
		errs = append(errs, mistake(at+".policies", strings.Join(u.Policies, ", "), "write object identifiers such as 1.3.6.1.4.1.311.21.8.1"))
	}
	must, may, ok := upstreamFields(u.Kind)
	if !ok {
		return errors.Join(append(errs, mistake(at+".kind", u.Kind, "choose step-ca, vault, est, ejbca, adcs or certsrv"))...)
	}
	set := u.set()
	for _, field := range append([]string{"chain"}, must...) {
		if !slices.Contains(set, field) {
			errs = append(errs, fmt.Errorf("%s.%s: is missing, and a CA of the kind %s needs it", at, field, u.Kind))
		}
	}
	for _, field := range set {
		if !slices.Contains(slices.Concat(commonUpstream(), must, may), field) {
			errs = append(errs, fmt.Errorf("%s.%s: is of no use for a CA of the kind %s", at, field, u.Kind))
		}
	}
	return errors.Join(append(errs, u.checkPairs(at), u.checkKeys(at))...)
}

// isServer reports whether text is an address of a CA.
func isServer(text string) bool {
	target, err := url.Parse(text)
	return err == nil && target.Scheme == "https" && target.Host != "" && target.User == nil && target.RawQuery == ""
}

// checkPairs checks settings that belong together, and how the portal signs in.
func (u UpstreamSettings) checkPairs(at string) error {
	var errs []error
	for _, pair := range [][2]string{
		{u.Certificate, u.Key}, {u.AgentCertificate, u.AgentKey}, {u.AppRoleID, u.AppRoleFile},
	} {
		if (pair[0] == "") != (pair[1] == "") {
			errs = append(errs, fmt.Errorf("%s: %s%s needs the other of its pair: certificate and key, or approle_id and approle_secret_file", at, pair[0], pair[1]))
		}
	}
	if u.InFlight < 0 || u.InFlight > 1000 {
		errs = append(errs, mistake(at+".in_flight", u.InFlight, "choose 1 to 1000"))
	}
	ways := 0
	for _, way := range []string{u.TokenFile, u.AppRoleID, u.CertificateRole} {
		if way != "" {
			ways++
		}
	}
	switch u.Kind {
	case UpstreamVault:
		if ways != 1 {
			errs = append(errs, fmt.Errorf("%s: name one of token_file, approle_id and certificate_role", at))
		}
		if u.ByRole && !u.SIDByURI {
			errs = append(errs, fmt.Errorf("%s.by_role: sign/ROLE cannot issue the SID extension: without sid_by_uri every certificate is refused", at))
		}
	case UpstreamEST, UpstreamADCS, UpstreamCertsrv:
		if (u.User == "") == (u.Certificate == "") && u.Kind != UpstreamEST || u.User == "" && u.Certificate == "" {
			errs = append(errs, fmt.Errorf("%s: name one way to sign in: certificate and key, or user with password_file or, by Kerberos, keytab_file", at))
		}
		if (u.AgentCertificate == "") != (u.Domain == "") {
			errs = append(errs, fmt.Errorf("%s: an enrolment agent needs domain, the name before the backslash", at))
		}
		errs = append(errs, u.checkAccount(at))
	}
	return errors.Join(errs...)
}

// checkAccount checks what belongs to the account by which the portal signs in.
func (u UpstreamSettings) checkAccount(at string) error {
	if u.KeytabFile == "" {
		if u.Krb5ConfigFile != "" {
			return fmt.Errorf("%s.krb5_config_file: is of no use without keytab_file", at)
		}
		if (u.User == "") != (u.PasswordFile == "") {
			return fmt.Errorf("%s: user needs password_file, or keytab_file for Kerberos", at)
		}
		return nil
	}
	if u.PasswordFile != "" || u.NTLM {
		return fmt.Errorf("%s.keytab_file: the portal signs in by Kerberos: remove password_file and ntlm", at)
	}
	if _, _, err := kerberos.Principal(u.User); err != nil {
		return fmt.Errorf("%s.user: %w", at, err)
	}
	return nil
}
