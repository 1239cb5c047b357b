package ca

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"

	// An import registers lints with zlint. The zlint package itself would also
	// register the rules for public web and mail certificates.
	_ "github.com/zmap/zlint/v3/lints/community"
	_ "github.com/zmap/zlint/v3/lints/rfc"
)

// LintError means that a certificate or CRL was not signed because of lint findings.
// The cause is the profile, directory data or this program; the operator must repair
// it, not the person.
type LintError struct {
	Findings []string // "name: what is wrong (source)", at least one
}

// Error lists all findings.
func (e *LintError) Error() string { return "refused by lints: " + strings.Join(e.Findings, "; ") }

// spec is the intended content of a certificate. The lints compare the certificate
// with it, not with the template that the certificate was built from.
type spec struct {
	issuer      *x509.Certificate
	issuerKind  KeyKind
	serial      Serial
	validity    validity
	publication Publication
	pub         crypto.PublicKey
	kind        KeyKind

	profile     *Profile // set for User certificates
	subject     Subject  // set for User certificates
	names       *names   // set for server certificates
	ra          string   // set for certificates of a registration authority
	auditSigner string   // set for certificates of an audit signer

	responder string // set for certificates of an OCSP signer
}

// rule is one lint of this package. check returns the finding.
type rule struct {
	name   string
	source string
	check  func(*x509.Certificate, *spec) error
}

// lintSet holds the lints that run before a signature. Selecting them among hundreds
// takes longer than running them, so it is done once for an Issuer.
type lintSet struct {
	certificates []*zlint.CertificateLint
	lists        []*zlint.RevocationListLint
	config       zlint.Configuration
	user         []rule
	server       []rule
	agent        []rule
	sealer       []rule
	responder    []rule
}

// newLintSet selects the lint sources that apply to any X.509 certificate. Those of
// browsers and mail programs apply to public CAs: they demand policies and short
// lives that a private CA does not need.
func newLintSet() (*lintSet, error) {
	registry, err := zlint.GlobalRegistry().Filter(zlint.FilterOptions{
		IncludeSources: zlint.SourceList{
			zlint.RFC5280, zlint.RFC5480, zlint.RFC8813, zlint.RFC3279, zlint.RFC5891, zlint.Community,
		},
		ExcludeNames: ignoredLints(),
	})
	if err != nil {
		return nil, fmt.Errorf("choosing lints: %w", err)
	}
	set := &lintSet{
		certificates: registry.CertificateLints().Lints(),
		lists:        registry.RevocationListLints().Lints(),
		config:       registry.GetConfiguration(),
		user:         slices.Concat(commonRules(), publicationRules(), userRules()),
		server:       slices.Concat(commonRules(), publicationRules(), serverRules()),
		agent:        slices.Concat(commonRules(), publicationRules(), raRules()),
		sealer:       slices.Concat(commonRules(), publicationRules(), auditSignerRules()),
		responder:    slices.Concat(commonRules(), responderRules()),
	}
	// Without an import, the lints would be missing unnoticed.
	if len(set.certificates) < 100 || len(set.lists) < 8 {
		return nil, fmt.Errorf("choosing lints: only %d for certificates and %d for lists", len(set.certificates), len(set.lists))
	}
	return set, nil
}

// ignoredLints gives the lints that do not apply to internal host names and backdated
// lists.
func ignoredLints() []string {
	return []string{
		// Takes localhost and any single-label host name for a public suffix. It is
		// against wildcards, which parseNames refuses.
		"n_san_iana_pub_suffix_empty",
		// Takes thisUpdate for the moment at which the list was made. It is backdated for
		// clients whose clock is slow: a list that is not yet valid there would refuse
		// every certificate. Revocation.check bounds the dates.
		"e_crl_revocation_time_after_this_update",
	}
}

// certificate runs every lint, so that one error has all findings.
func (l *lintSet) certificate(cert *x509.Certificate, want *spec) error {
	findings, err := l.standard(cert.Raw, zlint.Notice)
	if err != nil {
		return err
	}
	rules := l.user
	switch {
	case want.names != nil:
		rules = l.server
	case want.ra != "":
		rules = l.agent
	case want.auditSigner != "":
		rules = l.sealer
	case want.responder != "":
		rules = l.responder
	}
	for _, r := range rules {
		if err := r.check(cert, want); err != nil {
			findings = append(findings, fmt.Sprintf("%s: %s (%s)", r.name, err, r.source))
		}
	}
	return refusal(findings)
}

// standard runs the lints of zlint on any certificate, and gives the findings that are at
// least so grave.
func (l *lintSet) standard(raw []byte, least zlint.LintStatus) ([]string, error) {
	cert, err := zx509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate for lints: %w", err)
	}
	var findings []string
	for _, lint := range l.certificates {
		findings = appendFinding(findings, least, lint.LintMetadata, lint.Execute(cert, l.config))
	}
	return findings, nil
}

// list runs the lints of zlint on a CRL.
func (l *lintSet) list(raw []byte) error {
	crl, err := zx509.ParseRevocationList(raw)
	if err != nil {
		return fmt.Errorf("parsing CRL for lints: %w", err)
	}
	var findings []string
	for _, lint := range l.lists {
		findings = appendFinding(findings, zlint.Notice, lint.LintMetadata, lint.Execute(crl, l.config))
	}
	return refusal(findings)
}

// appendFinding appends the finding of a lint, if it is grave enough. In what the portal signs
// a notice counts like an error.
func appendFinding(findings []string, least zlint.LintStatus, meta zlint.LintMetadata, result *zlint.LintResult) []string {
	if result.Status < least {
		return findings
	}
	text := result.Details
	if text == "" {
		text = meta.Description
	}
	source := meta.Citation
	if source == "" {
		source = string(meta.Source)
	}
	return append(findings, fmt.Sprintf("%s: %s (%s)", meta.Name, text, source))
}

func refusal(findings []string) error {
	if len(findings) == 0 {
		return nil
	}
	return &LintError{Findings: findings}
}
