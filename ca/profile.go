package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ProfileConfig holds the settings of an administrator for User certificates.
type ProfileConfig struct {
	Name     string // for logs and errors, such as "User"; required
	Template string // Optional: template name in the certificate; default "User"

	Validity time.Duration // Optional: from notBefore; default 365 days, at least 1 hour, at most 1096 days
	Backdate time.Duration // Optional: how far notBefore lies in the past, for slow clocks; default 5 minutes, at most 1 hour

	// ExtKeyUsages are any of clientAuth, emailProtection and efs. Optional:
	// default all three, as in the template of AD CS.
	ExtKeyUsages []string

	Subject    SubjectForm // Optional: what stands in the field subject; default [SubjectUPN]
	RequireSID bool        // refuse subjects without SID; set it for Active Directory
}

// Profile is a checked ProfileConfig. It is immutable, so it may be shared.
type Profile struct {
	name         string
	template     string
	backdate     time.Duration
	validity     time.Duration
	extKeyUsages []asn1.ObjectIdentifier
	enciphers    bool
	subject      SubjectForm
	requireSID   bool
}

const (
	defaultValidity = 365 * 24 * time.Hour
	maxValidity     = 1096 * 24 * time.Hour
	minValidity     = time.Hour
	defaultBackdate = 5 * time.Minute
	maxBackdate     = time.Hour
	// maxTemplate keeps the BMPString below 128 octets.
	maxTemplate = 60
)

// NewProfile checks a configuration and copies it. The error names the first invalid
// setting.
func NewProfile(cfg ProfileConfig) (*Profile, error) {
	p := &Profile{name: cfg.Name, template: cfg.Template, requireSID: cfg.RequireSID}
	if p.name == "" {
		return nil, errors.New("checking profile: name is missing")
	}
	if p.template == "" {
		p.template = "User"
	}
	if err := checkTemplate(p.template); err != nil {
		return nil, fmt.Errorf("checking profile %s: %w", p.name, err)
	}
	var err error
	if p.validity, p.backdate, err = checkTimes(cfg.Validity, cfg.Backdate, maxValidity); err != nil {
		return nil, fmt.Errorf("checking profile %s: %w", p.name, err)
	}
	if p.extKeyUsages, p.enciphers, err = checkUsages(cfg.ExtKeyUsages); err != nil {
		return nil, fmt.Errorf("checking profile %s: %w", p.name, err)
	}
	if p.subject, err = ParseSubjectForm(string(cfg.Subject)); err != nil {
		return nil, fmt.Errorf("checking profile %s: %w", p.name, err)
	}
	return p, nil
}

// WithTemplate is the profile with the name of another certificate template; with that of
// the profile when it is empty.
func (p *Profile) WithTemplate(name string) (*Profile, error) {
	if name == "" {
		return p, nil
	}
	if err := checkTemplate(name); err != nil {
		return nil, fmt.Errorf("checking profile %s: %w", p.name, err)
	}
	other := *p
	other.template = name
	return &other, nil
}

// Name gives the name for logs.
func (p *Profile) Name() string { return p.name }

// Validity gives the duration from notBefore to notAfter, inclusive.
func (p *Profile) Validity() time.Duration { return p.validity }

// keyUsage gives the key usage for a key of the kind. keyEncipherment is set for RSA
// keys only, and only with an extended key usage that encrypts: with clientAuth
// alone it contradicts RFC 5280 section 4.2.1.12.
func (p *Profile) keyUsage(kind KeyKind) x509.KeyUsage {
	if kind.isRSA() && p.enciphers {
		return x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	}
	return x509.KeyUsageDigitalSignature
}

// checkTemplate accepts printable ASCII. A BMPString could hold more, but the common
// names of AD CS templates do not, and tools misread other characters.
func checkTemplate(name string) error {
	for _, r := range name {
		if r < ' ' || r > '~' {
			return fmt.Errorf("template name %q: want printable ASCII", name)
		}
	}
	if len(name) > maxTemplate {
		return fmt.Errorf("template name of %d characters: want at most %d", len(name), maxTemplate)
	}
	return nil
}

// checkTimes sets the defaults and checks the bounds. Certificates have whole seconds,
// so a fraction would make the certificate differ from the setting.
func checkTimes(validity, backdate, longest time.Duration) (time.Duration, time.Duration, error) {
	if validity == 0 {
		validity = defaultValidity
	}
	if backdate == 0 {
		backdate = defaultBackdate
	}
	if validity < minValidity || validity > longest || validity%time.Second != 0 {
		return 0, 0, fmt.Errorf("validity %s: want whole seconds between %s and %s", validity, minValidity, longest)
	}
	if backdate < 0 || backdate > maxBackdate || backdate%time.Second != 0 {
		return 0, 0, fmt.Errorf("backdate %s: want whole seconds up to %s", backdate, maxBackdate)
	}
	return validity, backdate, nil
}

// checkUsages gives the object identifiers of usages, always in the order of AD CS.
// Usages outside the list, above all anyExtendedKeyUsage, would let a User
// certificate authenticate a server or act as an enrolment agent.
func checkUsages(names []string) ([]asn1.ObjectIdentifier, bool, error) {
	if len(names) == 0 {
		names = []string{"efs", "emailProtection", "clientAuth"}
	}
	for i, name := range names {
		if !slices.Contains([]string{"efs", "emailProtection", "clientAuth"}, name) {
			return nil, false, fmt.Errorf("extended key usage %q: want clientAuth, emailProtection or efs", name)
		}
		if slices.Contains(names[:i], name) {
			return nil, false, fmt.Errorf("extended key usage %q: named twice", name)
		}
	}
	var usages []asn1.ObjectIdentifier
	if slices.Contains(names, "efs") {
		usages = append(usages, oidEFS())
	}
	if slices.Contains(names, "emailProtection") {
		usages = append(usages, oidEmailProtection())
	}
	enciphers := len(usages) > 0
	if slices.Contains(names, "clientAuth") {
		usages = append(usages, oidClientAuth())
	}
	return usages, enciphers, nil
}

// CertificateRequest makes the PKCS#10 request in DER (RFC 2986), with all extensions that
// the certificate should have (RFC 2985 section 5.4.2). The errors are those of
// [Issuer.Prepare].
func (p *Profile) CertificateRequest(s Subject, key crypto.Signer) ([]byte, error) {
	kind, err := KindOf(key.Public())
	if err != nil {
		return nil, err
	}
	if err := s.check(p.requireSID); err != nil {
		return nil, err
	}
	template, err := userTemplate(p, s, kind)
	if err != nil {
		return nil, err
	}
	usage, err := keyUsageExtension(template.KeyUsage)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: template.Subject, ExtraExtensions: append(template.ExtraExtensions, usage),
	}, key)
	return der, wrap("making certificate request", err)
}

// keyUsageExtension builds keyUsage from the two bits that a user's certificate has.
func keyUsageExtension(usage x509.KeyUsage) (pkix.Extension, error) {
	bits := asn1.BitString{Bytes: []byte{0x80}, BitLength: 1}
	if usage&x509.KeyUsageKeyEncipherment != 0 {
		bits = asn1.BitString{Bytes: []byte{0xa0}, BitLength: 3}
	}
	value, err := asn1.Marshal(bits)
	return pkix.Extension{Id: oidKeyUsage(), Critical: true, Value: value}, wrap("encoding key usage", err)
}
