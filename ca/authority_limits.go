package ca

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
)

func oidAnyUsage() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, 37, 0} }

// oidApplicationPolicies is szOID_APPLICATION_CERT_POLICIES of MS-WCCE 2.2.2.7.7.3, which
// Windows reads like extended key usages.
func oidApplicationPolicies() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}
}

// usage is one that certificates below the portal have.
type usage struct {
	name  string
	id    asn1.ObjectIdentifier
	level ImportLevel
	of    string
}

func (c *importCheck) usages() ([]usage, error) {
	profile, _, err := checkUsages(c.Needs.ExtKeyUsages)
	if err != nil {
		return nil, err
	}
	var list []usage
	for _, u := range []usage{
		{"client authentication", oidClientAuth(), ImportError, "the users' certificates"},
		{"secure e-mail", oidEmailProtection(), ImportError, "the users' certificates (certificates.usages)"},
		{"encrypting file system", oidEFS(), ImportError, "the users' certificates (certificates.usages)"},
	} {
		if slices.ContainsFunc(profile, u.id.Equal) {
			list = append(list, u)
		}
	}
	return append(list,
		usage{"OCSP signing", oidOCSPSigning(), ImportError, "answers about revocation"},
		usage{"server authentication", oidServerAuth(), ImportWarning, "the portal's own TLS certificate"},
		usage{"registration authority", oidRegistrationAuthority(), ImportWarning, "SCEP"},
		usage{"document signing", oidDocumentSigning(), ImportWarning, "the checkpoints of the audit log"},
	), nil
}

// checkUsages looks for usages that a CA of the chain does not allow below it. OpenSSL
// reads those of the root too, and does not take "any usage" for all.
func (c *importCheck) checkUsages(path []*x509.Certificate) {
	needed, err := c.usages()
	if err != nil {
		c.add(ImportError, "", "The settings are wrong: %v.", err)
		return
	}
	for _, cert := range path {
		for _, e := range cert.Extensions {
			limits, ok := usageLimits(e)
			if !ok {
				c.add(ImportError, "", "The extended key usage of %s cannot be read.", short(cert))
			}
			if limits == nil {
				continue
			}
			if slices.ContainsFunc(limits, oidAnyUsage().Equal) {
				if !slices.ContainsFunc(limits, oidClientAuth().Equal) {
					c.add(ImportWarning, "Ask for a CA certificate without extended key usages.",
						"%s allows any usage (anyExtendedKeyUsage), which servers with OpenSSL do not take for client authentication.", short(cert))
				}
				continue
			}
			for _, u := range needed {
				if !slices.ContainsFunc(limits, u.id.Equal) {
					c.add(u.level, fmt.Sprintf("Ask for a CA certificate without extended key usages and application policies, as the template "+
						"Subordinate Certification Authority makes it, or with %s (%s) among them.", u.name, u.id),
						"%s does not allow %s (extended key usage): %s would be refused.", short(cert), u.name, u.of)
				}
			}
		}
	}
}

// usageLimits reads extended key usages and application policies; nil for another extension.
func usageLimits(e pkix.Extension) (limits []asn1.ObjectIdentifier, ok bool) {
	switch {
	case e.Id.Equal(oidExtKeyUsage()):
		rest, err := asn1.Unmarshal(e.Value, &limits)
		return limits, err == nil && len(rest) == 0
	case e.Id.Equal(oidApplicationPolicies()):
		var policies []struct {
			ID         asn1.ObjectIdentifier
			Qualifiers asn1.RawValue `asn1:"optional"`
		}
		rest, err := asn1.Unmarshal(e.Value, &policies)
		for _, p := range policies {
			limits = append(limits, p.ID)
		}
		return limits, err == nil && len(rest) == 0
	}
	return nil, true
}

// checkPolicies refuses a chain that demands a certificate policy of the certificates
// below it: the portal's have none (RFC 5280 section 6.1.5).
func (c *importCheck) checkPolicies(path []*x509.Certificate) {
	for i, cert := range path {
		skip := cert.RequireExplicitPolicy
		if skip < 0 || skip == 0 && !cert.RequireExplicitPolicyZero {
			continue
		}
		if distance := i + 1; skip <= distance {
			c.add(ImportError, "Ask for a CA certificate without policy constraints: in CAPolicy.inf or policy.inf, [PolicyConstraintsExtension] without RequireExplicitPolicy.",
				"%s demands a certificate policy of all below it (RequireExplicitPolicy), and the portal's certificates have none: all would be refused.", short(cert))
		}
	}
}

// checkNames looks for names that name constraints exclude.
func (c *importCheck) checkNames(path []*x509.Certificate) {
	const ask = "Ask for a CA certificate without name constraints, or whose constraints permit the %s %s: in policy.inf [NameConstraintsExtension]."
	for _, cert := range path {
		constraints, err := readNameConstraints(cert)
		if err != nil {
			c.add(ImportError, "", "%s: %v.", short(cert), err)
		}
		if constraints == nil {
			continue
		}
		for _, n := range c.users() {
			if !constraints.allow(n) {
				c.add(ImportError, fmt.Sprintf(ask, n.form, n.text),
					"The name constraints of %s exclude the %s %s: every certificate with it would be refused.", short(cert), n.form, n.text)
			}
		}
		for _, n := range c.hosts() {
			if !constraints.allow(n) {
				c.add(ImportWarning, fmt.Sprintf(ask, n.form, n.text)+" Or give the portal a TLS certificate of another CA (tls.certificate).",
					"The name constraints of %s exclude the %s %s: the portal's own TLS certificate would be refused.", short(cert), n.form, n.text)
			}
		}
		if slices.ContainsFunc(slices.Concat(constraints.permitted, constraints.excluded), func(s subtree) bool { return s.form == formUPN }) {
			c.add(ImportWarning, fmt.Sprintf(ask, formUPN, "of people without naming UPNs"),
				"The name constraints of %s name UPNs, which Windows checks; servers with OpenSSL, such as Apache, nginx and FreeRADIUS, refuse such chains.", short(cert))
		}
	}
}

// users are samples of the names in users' certificates.
func (c *importCheck) users() []certifiedName {
	var list []certifiedName
	for _, domain := range c.Needs.Domains {
		account := "someone@" + domain
		list = append(list, certifiedName{form: formUPN, text: account}, certifiedName{form: formMail, text: account})
		list = append(list, distinguished(c.sampleSubject(account, domain)))
	}
	return list
}

func distinguished(dn pkix.RDNSequence) certifiedName {
	return certifiedName{form: formDN, text: dn.String(), dn: dn}
}

// sampleSubject is the subject of a person's certificate. In the form of the directory it
// begins with the domain's components.
func (c *importCheck) sampleSubject(account, domain string) pkix.RDNSequence {
	var dn pkix.RDNSequence
	if c.Needs.Subject == SubjectDirectoryName {
		labels := strings.Split(domain, ".")
		slices.Reverse(labels)
		for _, label := range labels {
			dn = append(dn, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, Value: label}})
		}
	}
	return append(dn, pkix.RelativeDistinguishedNameSET{{Type: oidCommonName(), Value: account}})
}

func (c *importCheck) hosts() []certifiedName {
	var list []certifiedName
	for _, host := range c.Needs.Hosts {
		form := formDNS
		if strings.Contains(host, ":") || strings.Trim(host, "0123456789.") == "" {
			form = formIP
		}
		list = append(list, certifiedName{form: form, text: host})
	}
	return list
}

// checkExtensions refuses critical extensions that are not understood, as every program
// must (RFC 5280 section 4.2).
func (c *importCheck) checkExtensions(path []*x509.Certificate) {
	for i, cert := range path {
		for _, id := range cert.UnhandledCriticalExtensions {
			if !id.Equal(oidNameConstraints()) && !id.Equal(oidApplicationPolicies()) {
				c.add(ImportError, "Ask for a certificate without this extension, or with it not critical.",
					"%s has the critical extension %s, which programs do not know: they refuse it.", short(cert), id)
			}
		}
		if len(cert.AuthorityKeyId) == 0 && !selfIssued(cert) {
			c.add(ImportNote, askKeyIdentifier, "%s has no authority key identifier; strict programs refuse it.", short(cert))
		}
		if cert.SerialNumber.Sign() == 0 && i > 0 {
			c.add(ImportNote, "", "%s has the serial number 0.", short(cert))
		}
	}
}
