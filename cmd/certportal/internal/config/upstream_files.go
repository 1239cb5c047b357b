package config

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"certportal/ca"
	"certportal/ca/upstream/kerberos"
)

// checkUpstreamFiles reads the files of the CAs that the portal does not run.
func (s *Settings) checkUpstreamFiles() error {
	var errs []error
	for i, u := range s.Upstreams {
		at := fmt.Sprintf("upstreams[%d]", i)
		if _, _, err := u.ReadChain(); err != nil && u.Chain != "" {
			errs = append(errs, fmt.Errorf("%s.chain: %w", at, err))
		}
		if _, err := ReadRoots(u.ServerCAFile); err != nil {
			errs = append(errs, fmt.Errorf("%s.server_ca_file: %w", at, err))
		}
		if _, err := u.ReadRevoker(); err != nil {
			errs = append(errs, fmt.Errorf("%s.revoker_certificate: %w", at, err))
		}
		for key, file := range map[string]string{
			"password_file": u.PasswordFile, "provisioner_key_file": u.ProvisionerKeyFile, "token_file": u.TokenFile,
			"approle_secret_file": u.AppRoleFile, "secret_file": u.SecretFile,
		} {
			if file == "" {
				continue
			}
			if _, err := ReadSecret(file); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", at, key, err))
			}
		}
		if err := u.checkKerberos(); err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", at, err))
		}
		for _, pair := range u.KeyPairs() {
			if pair.InToken() {
				continue // the check of the tokens looks for it
			}
			if _, err := pair.Reader(nil)(); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", at, pair.Setting, err))
			}
		}
	}
	return errors.Join(errs...)
}

// checkKerberos reads the files of the account that signs in by Kerberos.
func (u UpstreamSettings) checkKerberos() error {
	if u.KeytabFile == "" {
		return nil
	}
	text, err := readPrivate(u.KeytabFile)
	if err == nil {
		err = kerberos.CheckKeytab(text, u.User)
	}
	if err != nil {
		return fmt.Errorf("keytab_file: %w", err)
	}
	if u.Krb5ConfigFile != "" {
		if _, err := os.ReadFile(u.Krb5ConfigFile); err != nil {
			return fmt.Errorf("krb5_config_file: %w", err)
		}
	}
	return nil
}

// Kerberos makes the account that signs in by Kerberos, nil without. It asks no KDC.
func (u UpstreamSettings) Kerberos() (*kerberos.Account, error) {
	if u.KeytabFile == "" {
		return nil, nil
	}
	c := kerberos.Config{Principal: u.User, Keytab: func() ([]byte, error) { return readPrivate(u.KeytabFile) }}
	if u.Krb5ConfigFile != "" {
		c.Realms = func() ([]byte, error) { return os.ReadFile(u.Krb5ConfigFile) }
	}
	return kerberos.New(c)
}

// ParsePolicies gives the policies that certificates of the CA may have.
func (u UpstreamSettings) ParsePolicies() ([]asn1.ObjectIdentifier, error) {
	var list []asn1.ObjectIdentifier
	for _, text := range u.Policies {
		var id asn1.ObjectIdentifier
		for part := range strings.SplitSeq(strings.TrimSpace(text), ".") {
			n, err := strconv.ParseUint(part, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("policy %q is no object identifier", text)
			}
			id = append(id, int(n))
		}
		if len(id) < 3 {
			return nil, fmt.Errorf("policy %q is no object identifier", text)
		}
		list = append(list, id)
	}
	return list, nil
}

// ReadChain reads the roots of the CA and the certificates below them.
func (u UpstreamSettings) ReadChain() (roots, intermediates []*x509.Certificate, err error) {
	text, err := os.ReadFile(u.Chain)
	if err != nil {
		return nil, nil, err
	}
	all, err := ca.ParseAnchors(text)
	if err != nil {
		return nil, nil, err
	}
	for _, cert := range all {
		switch {
		case !cert.IsCA:
			return nil, nil, fmt.Errorf("%s: certificate of %s is not that of a CA", u.Chain, cert.Subject)
		case bytes.Equal(cert.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(cert) == nil:
			roots = append(roots, cert)
		default:
			intermediates = append(intermediates, cert)
		}
	}
	if len(roots) == 0 {
		return nil, nil, fmt.Errorf("%s: there is no root in it, a certificate that signed itself", u.Chain)
	}
	return roots, intermediates, nil
}

// SecretOf gives the content of a file each time it is needed, so that it can be renewed;
// nil without a file.
func SecretOf(file string) func() (string, error) {
	if file == "" {
		return nil
	}
	return func() (string, error) {
		secret, err := ReadSecret(file)
		return strings.TrimSpace(string(secret)), err
	}
}
