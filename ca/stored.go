package ca

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	zlint "github.com/zmap/zlint/v3/lint"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// IssuedTo reports whether a certificate was issued to an account: by the SID where the
// certificate has one, as the UPN may have changed; else by the UPN. What
// is signed decides, not what a database says about the certificate.
func IssuedTo(cert *x509.Certificate, s Subject) bool {
	upn := ""
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(oidSIDExtension()):
			want, err := sidExtension(s.SID)
			return err == nil && s.SID != "" && bytes.Equal(e.Value, want.Value)
		case e.Id.Equal(oidSAN()):
			upn = upnOf(e.Value)
		}
	}
	return upn != "" && strings.EqualFold(upn, s.UPN)
}

// NamesAccount reports whether a certificate names no other account than the one with this
// UPN and SID, letter by letter: what a certificate lacks names none.
func NamesAccount(cert *x509.Certificate, upn, sid string) bool {
	for _, e := range cert.Extensions {
		switch {
		case e.Id.Equal(oidSIDExtension()):
			want, err := sidExtension(sid)
			if err != nil || !bytes.Equal(e.Value, want.Value) {
				return false
			}
		case e.Id.Equal(oidSAN()):
			if named := upnOf(e.Value); named != "" && named != upn {
				return false
			}
		}
	}
	return true
}

// upnOf reads the UPN of a subject alternative name as [userSAN] builds it, where it is
// the first name; empty without one.
func upnOf(san []byte) string {
	input := cryptobyte.String(san)
	var names, other, inner, upn cryptobyte.String
	id := oidUPN()
	if !input.ReadASN1(&names, der.SEQUENCE) || !names.ReadASN1(&other, contextTag(0)) ||
		!other.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidUPN()) ||
		!other.ReadASN1(&inner, contextTag(0)) || !inner.ReadASN1(&upn, der.UTF8String) {
		return ""
	}
	return string(upn)
}

// StoredLinter lints certificates that were issued before, with the rules of [Issuer.Prepare]
// and [Foreign.Check]. It is safe for concurrent use.
//
// What settings decide is taken from the certificate, because it was lawful under the settings
// of its day: life, template name, usages, form of the subject, addresses, and whether
// there is a SID. What is left holds under every profile. Of the rules of zlint those count that
// are errors, from the date on at which they are in force.
type StoredLinter struct {
	lints *lintSet
}

// NewStoredLinter selects the rules.
func NewStoredLinter() (*StoredLinter, error) {
	lints, err := newLintSet()
	return &StoredLinter{lints}, err
}

// Check lints a certificate that a CA of the portal signed. It returns a [*LintError] with all
// findings.
func (l *StoredLinter) Check(cert, issuer *x509.Certificate) error {
	findings, want := specOf(cert, issuer)
	rules, longest := l.rulesFor(cert, want)
	if life := cert.NotAfter.Sub(cert.NotBefore); life >= longest {
		findings = append(findings, fmt.Sprintf("validity: life of %s is over %s (profiles)", life, longest))
	}
	return l.run(cert, want, rules, findings)
}

// CheckForeign lints a certificate that another CA issued to a person.
func (l *StoredLinter) CheckForeign(cert *x509.Certificate) error {
	findings, want := specOf(cert, cert)
	f := Foreign{SIDByURI: true}
	settled := []string{"public-key", "issuer", "validity", "policies"} // by settings, and by specOf
	rules := slices.DeleteFunc(f.rules(time.Time{}), func(r rule) bool { return slices.Contains(settled, r.name) })
	return l.run(cert, want, rules, findings)
}

func (l *StoredLinter) run(cert *x509.Certificate, want *spec, rules []rule, findings []string) error {
	standard, err := l.lints.standard(cert.Raw, zlint.Error)
	if err != nil {
		findings = append(findings, err.Error())
	}
	findings = append(findings, standard...)
	for _, r := range rules {
		if err := r.check(cert, want); err != nil {
			findings = append(findings, fmt.Sprintf("%s: %s (%s)", r.name, err, r.source))
		}
	}
	return refusal(findings)
}

// rulesFor chooses by the one usage that each of the portal's own certificates has. All else is
// held to the rules of people, which allow none of these usages.
func (l *StoredLinter) rulesFor(cert *x509.Certificate, want *spec) ([]rule, time.Duration) {
	name := cert.Subject.CommonName
	usages, err := usagesOf(cert)
	if err != nil || len(usages) != 1 {
		return l.lints.user, maxValidity
	}
	switch only := usages[0]; {
	case only.Equal(oidServerAuth()):
		want.names = &names{hosts: cert.DNSNames, addresses: cert.IPAddresses}
		return l.lints.server, maxServerValidity
	case only.Equal(oidRegistrationAuthority()):
		want.ra = name
		return l.lints.agent, maxServerValidity
	case only.Equal(oidDocumentSigning()):
		want.auditSigner = name
		return l.lints.sealer, maxServerValidity
	case only.Equal(oidOCSPSigning()):
		want.responder = name
		return l.lints.responder, maxResponderValidity
	}
	return l.lints.user, maxValidity
}

func usagesOf(cert *x509.Certificate) ([]asn1.ObjectIdentifier, error) {
	var usages []asn1.ObjectIdentifier
	e, _ := extensionOf(cert, oidExtKeyUsage())
	rest, err := asn1.Unmarshal(e.Value, &usages)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d octets follow the usages", len(rest))
	}
	return usages, err
}

// specOf is what a certificate says of itself, as far as settings or the directory decide it.
// Findings are of its key, serial and person.
func specOf(cert, issuer *x509.Certificate) ([]string, *spec) {
	var findings []string
	note := func(rule string, err error) {
		if err != nil {
			findings = append(findings, fmt.Sprintf("%s: %v", rule, err))
		}
	}
	want := &spec{
		issuer: issuer, validity: validity{cert.NotBefore, cert.NotAfter}, pub: cert.PublicKey,
		publication: Publication{CRLURLs: cert.CRLDistributionPoints, IssuerURLs: cert.IssuingCertificateURL, OCSPURLs: cert.OCSPServer},
		subject:     subjectOf(cert), profile: profileOf(cert),
	}
	var err error
	want.kind, err = KindOf(cert.PublicKey)
	note("public-key", err)
	want.issuerKind, err = KindOf(issuer.PublicKey)
	note("issuer-key", err)
	want.serial, err = SerialOf(cert.SerialNumber)
	note("serial-number", err)
	if want.subject.UPN != "" {
		note("subject", want.subject.Validate())
	}
	return findings, want
}

// subjectOf reads the person. Another name in the place of the UPN is taken for theirs, as long
// as it cannot be taken for the UPN of another.
func subjectOf(cert *x509.Certificate) Subject {
	var s Subject
	if e, found := extensionOf(cert, oidSAN()); found {
		s.UPN = upnOf(e.Value)
	}
	if len(cert.EmailAddresses) > 0 {
		s.Mail = cert.EmailAddresses[0]
	}
	if e, found := extensionOf(cert, oidSIDExtension()); found {
		s.SID = strings.Join(describeSID(cert, e), "")
	} else if len(cert.URIs) > 0 {
		s.SID = strings.TrimPrefix(cert.URIs[0].String(), sidURI(""))
	}
	s.Name = cert.Subject.CommonName
	var names pkix.RDNSequence
	if _, err := asn1.Unmarshal(cert.RawSubject, &names); err == nil && len(names) > 1 {
		s.DirectoryName = names
	}
	return s
}

// profileOf is the profile under which a certificate would be made as it is, among those that
// an administrator can set.
func profileOf(cert *x509.Certificate) *Profile {
	p := &Profile{subject: SubjectDisplayName}
	if s := subjectOf(cert); s.DirectoryName != nil {
		p.subject = SubjectDirectoryName
	}
	usages, _ := usagesOf(cert) // without, the lint of the usages finds it
	for _, u := range []asn1.ObjectIdentifier{oidEFS(), oidEmailProtection(), oidClientAuth()} {
		if slices.ContainsFunc(usages, u.Equal) {
			p.extKeyUsages = append(p.extKeyUsages, u)
			p.enciphers = p.enciphers || !u.Equal(oidClientAuth())
		}
	}
	if e, found := extensionOf(cert, oidTemplate()); found {
		p.template = strings.Join(describeTemplate(cert, e), "")
	}
	return p
}
