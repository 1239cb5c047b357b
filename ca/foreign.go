package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	zlint "github.com/zmap/zlint/v3/lint"
)

// Foreign is what a certificate must be that another CA issues to a person. The other CA is
// not trusted to do what it was asked: many drop the UPN, the SID or usages.
type Foreign struct {
	Profile *Profile
	Subject Subject
	Key     crypto.PublicKey

	Anchors       []*x509.Certificate // roots of the other CA, as the administrator gave them
	Intermediates []*x509.Certificate // Optional: below the roots; they need not be trusted

	// Requested is when it was asked for, from which the validity is reckoned: a
	// certificate may be approved days later. Zero is the moment of the check.
	Requested time.Time

	// Policies are those that it may have (RFC 5280 section 4.2.1.4). Active Directory can link
	// a policy to a group: who logs on with it is a member.
	Policies []asn1.ObjectIdentifier

	// SIDByURI accepts the SID as a URI in the subject alternative name in the place of the
	// extension, from CAs that cannot issue that (KB5014754, tag:microsoft.com,2022-09-14:sid:).
	SIDByURI bool
}

// ForeignSlack is by how much the validity of a certificate of another CA may differ from
// that of the profile: such CAs count in calendar years.
const ForeignSlack = 48 * time.Hour

// ForeignError says in what a certificate differs from what was asked for. It must not be
// handed out.
type ForeignError struct {
	Findings []string // "name: what is wrong (source)", at least one
}

// Error lists all findings.
func (e *ForeignError) Error() string {
	return "certificate is refused: " + strings.Join(e.Findings, "; ")
}

// Check compares a certificate with what was asked for, by meaning: form and order may
// differ, and so may what no server decides by. It returns a [*ForeignError] with all
// findings.
func (f Foreign) Check(cert *x509.Certificate, now time.Time) error {
	want := &spec{profile: f.Profile, subject: f.Subject, pub: f.Key}
	findings, err := standardErrors(cert.Raw)
	if err != nil {
		findings = append(findings, err.Error())
	}
	for _, r := range f.rules(now) {
		if err := r.check(cert, want); err != nil {
			findings = append(findings, fmt.Sprintf("%s: %s (%s)", r.name, err, r.source))
		}
	}
	if len(findings) > 0 {
		return &ForeignError{Findings: findings}
	}
	return nil
}

func (f Foreign) rules(now time.Time) []rule {
	sid := lintSID
	if f.SIDByURI {
		sid = lintSIDByURI
	}
	return []rule{
		{"public-key", "RFC 2986", func(cert *x509.Certificate, want *spec) error {
			if !sameKey(cert.PublicKey, want.pub) {
				return errors.New("key is not that of the request")
			}
			return nil
		}},
		{"issuer", "RFC 5280 section 6", func(cert *x509.Certificate, _ *spec) error { return f.checkChain(cert, now) }},
		{"validity", "profile", func(cert *x509.Certificate, want *spec) error {
			return f.checkValidity(cert, want.profile, now)
		}},
		{"policies", "RFC 5280 section 4.2.1.4, msDS-OIDToGroupLink", func(cert *x509.Certificate, _ *spec) error { return f.checkPolicies(cert) }},
		{"serial", "RFC 5280 section 4.1.2.2", func(cert *x509.Certificate, _ *spec) error {
			_, err := SerialOf(cert.SerialNumber)
			return err
		}},
		{"end-entity", "RFC 5280 section 4.2.1.9", lintEndEntity},
		{"subject-is-no-other-persons", "account lookup by name", lintForeignSubject},
		{"san-upn", "KB5014754, account lookup by UPN", lintUPN},
		{"san-nothing-else", "KB5014754, weak mappings", f.checkNames},
		{"sid", "MS-WCCE 2.2.2.7.7.4", sid},
		{"extended-key-usage", "RFC 5280 section 4.2.1.12", lintForeignUsages},
		{"key-usage", "RFC 5280 section 4.2.1.3", lintForeignKeyUsage},
		{"application-policies", "MS-CRTD, CVE-2024-49019", lintApplicationPolicies},
	}
}

// checkChain verifies the certificate to one of the anchors.
func (f Foreign) checkChain(cert *x509.Certificate, now time.Time) error {
	switch cert.SignatureAlgorithm {
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return errors.New("signature is RSASSA-PSS, which phones and servers read differently: " +
			"the CA must sign with PKCS#1 v1.5 (AlternateSignatureAlgorithm=0)")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range f.Anchors {
		roots.AddCert(c)
	}
	for _, c := range f.Intermediates {
		between.AddCert(c)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now.Add(ClockSkew),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

func (f Foreign) checkPolicies(cert *x509.Certificate) error {
	for _, policy := range cert.PolicyIdentifiers {
		if !slices.ContainsFunc(f.Policies, policy.Equal) {
			return fmt.Errorf("policy %s is none that the settings allow: it may be linked to a group", policy)
		}
	}
	return nil
}

func (f Foreign) checkValidity(cert *x509.Certificate, p *Profile, now time.Time) error {
	start, end := cert.NotBefore, cert.NotAfter
	asked := f.Requested
	if asked.IsZero() {
		asked = now
	}
	switch want := start.Add(p.validity); {
	case start.After(now.Add(ClockSkew)):
		return fmt.Errorf("valid from %s, which is in the future: compare the clocks", start.Format(time.RFC3339))
	case start.Before(asked.Add(-ForeignSlack)):
		return fmt.Errorf("valid from %s, long before the request", start.Format(time.RFC3339))
	case end.After(want.Add(ForeignSlack)), end.Before(want.Add(-ForeignSlack)):
		return fmt.Errorf("valid until %s, and the profile says %s", end.Format(time.RFC3339), p.validity)
	}
	return nil
}

func lintEndEntity(cert *x509.Certificate, _ *spec) error {
	switch {
	case cert.IsCA:
		return errors.New("certificate is that of a CA")
	case len(cert.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("critical extension %s is unknown", cert.UnhandledCriticalExtensions[0])
	}
	return nil
}

// lintForeignSubject accepts every subject in which no name may be taken for another
// person: an @ belongs to the UPN or to the mail address only.
func lintForeignSubject(cert *x509.Certificate, want *spec) error {
	var found pkix.RDNSequence
	if rest, err := asn1.Unmarshal(cert.RawSubject, &found); err != nil || len(rest) > 0 {
		return errors.New("subject is not a list of names")
	}
	for _, part := range found {
		for _, name := range part {
			value, isText := name.Value.(string)
			if !isText {
				return fmt.Errorf("name %s of the subject is not text", name.Type)
			}
			if strings.Contains(value, "@") && value != want.subject.UPN && (want.subject.Mail == "" || !strings.EqualFold(value, want.subject.Mail)) {
				return errors.New("subject holds an @ that is neither of the user principal name nor of the mail address")
			}
		}
	}
	return nil
}

// checkNames refuses names that could map to another account or authenticate a server. The
// mail address may be missing, but not be another.
func (f Foreign) checkNames(cert *x509.Certificate, want *spec) error {
	names, err := generalNames(cert)
	if err != nil {
		return err
	}
	counts := map[int]int{}
	for _, name := range names {
		counts[name.Tag]++
		fits := name.Class == asn1.ClassContextSpecific && counts[name.Tag] == 1
		switch {
		case fits && name.Tag == 0: // the UPN, which lintUPN compares
		case fits && name.Tag == 1 && want.subject.Mail != "" && strings.EqualFold(string(name.Bytes), want.subject.Mail):
		case fits && name.Tag == 6 && f.SIDByURI && string(name.Bytes) == sidURI(want.subject.SID):
		default:
			return fmt.Errorf("subject alternative name has an entry of type %d that was not asked for", name.Tag)
		}
	}
	return nil
}

// sidURI is the form of a SID for CAs that cannot issue the extension (KB5014754).
func sidURI(sid string) string { return "tag:microsoft.com,2022-09-14:sid:" + sid }

// lintSIDByURI accepts the SID in either form, or none where the person has none.
func lintSIDByURI(cert *x509.Certificate, want *spec) error {
	if _, found := extensionOf(cert, oidSIDExtension()); found || want.subject.SID == "" {
		return lintSID(cert, want)
	}
	names, err := generalNames(cert)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name.Tag == 6 && string(name.Bytes) == sidURI(want.subject.SID) {
			return nil
		}
	}
	return errors.New("SID is neither in the extension nor in a URI")
}

// lintForeignUsages compares the usages as a set with those of the profile.
func lintForeignUsages(cert *x509.Certificate, want *spec) error {
	e, found := extensionOf(cert, oidExtKeyUsage())
	if !found {
		return errors.New("extended key usage is missing, so the certificate would be good for everything")
	}
	var usages []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(e.Value, &usages); err != nil || len(rest) > 0 {
		return errors.New("extended key usage is not a list of identifiers")
	}
	for _, usage := range usages {
		if !slices.ContainsFunc(want.profile.extKeyUsages, usage.Equal) {
			return fmt.Errorf("usage %s is none of the profile's", usage)
		}
	}
	for _, usage := range want.profile.extKeyUsages {
		if !slices.ContainsFunc(usages, usage.Equal) {
			return fmt.Errorf("usage %s of the profile is missing", usage)
		}
	}
	return nil
}

func lintForeignKeyUsage(cert *x509.Certificate, _ *spec) error {
	allowed := x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageContentCommitment | x509.KeyUsageDataEncipherment
	switch {
	case cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("key usage has no digitalSignature, without which no client can log on")
	case cert.KeyUsage&^allowed != 0:
		return fmt.Errorf("key usage %09b is none of a user's", cert.KeyUsage)
	}
	return nil
}

// lintApplicationPolicies compares the application policies of AD CS with the usages:
// Windows prefers them, so they must not say more.
func lintApplicationPolicies(cert *x509.Certificate, want *spec) error {
	e, found := extensionOf(cert, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10})
	if !found {
		return nil
	}
	var policies []struct {
		ID         asn1.ObjectIdentifier
		Qualifiers asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(e.Value, &policies); err != nil || len(rest) > 0 {
		return errors.New("application policies are not a list of policies")
	}
	for _, policy := range policies {
		if !slices.ContainsFunc(want.profile.extKeyUsages, policy.ID.Equal) {
			return fmt.Errorf("application policy %s is none of the profile's usages", policy.ID)
		}
	}
	return nil
}

// standardErrors runs the lints of zlint. Warnings are for the CA's administrator to decide.
func standardErrors(raw []byte) ([]string, error) {
	set, err := newLintSet()
	if err != nil {
		return nil, err
	}
	return set.standard(raw, zlint.Error)
}
