package ca

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"

	// The lints enter zlint's registry by being imported. The zlint package
	// itself would bring the rules for public web and mail certificates as well.
	_ "github.com/zmap/zlint/v3/lints/community"
	_ "github.com/zmap/zlint/v3/lints/rfc"
)

// LintError says that a certificate or CRL was not signed because lints found
// something. It is a fault of the profile, of directory data or of this
// program, and for the operator rather than for the person.
type LintError struct {
	Findings []string // "name: what is wrong (source)", at least one
}

// Error tells all findings.
func (e *LintError) Error() string { return "refused by lints: " + strings.Join(e.Findings, "; ") }

// spec is what a certificate was to become: the lints compare against it, and
// never against the template that the certificate was built from.
type spec struct {
	issuer      *x509.Certificate
	issuerKind  KeyKind
	serial      Serial
	validity    validity
	publication publication
	pub         crypto.PublicKey
	kind        KeyKind

	profile     *Profile // set for User certificates
	subject     Subject  // set for User certificates
	names       *names   // set for server certificates
	ra          string   // set for certificates of a registration authority
	auditSigner string   // set for certificates that seal the audit log

	responder string // set for certificates of an OCSP signer
}

// rule is one lint of our own. The check returns what is wrong.
type rule struct {
	name   string
	source string
	check  func(*x509.Certificate, *spec) error
}

// lintSet is every lint that runs before a signature. Choosing them among some
// hundreds takes longer than running them, so it is done once for an Issuer.
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

// newLintSet chooses the sources that bind any X.509 certificate. Those of the
// browsers and mail programs bind public CAs: they demand policies and short
// lives that a company's own CA has no use for.
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
	// An import lost in a refactoring would otherwise turn the gate off unseen.
	if len(set.certificates) < 100 || len(set.lists) < 8 {
		return nil, fmt.Errorf("choosing lints: only %d for certificates and %d for lists", len(set.certificates), len(set.lists))
	}
	return set, nil
}

// ignoredLints are the lints that do not bind a company's own names.
func ignoredLints() []string {
	return []string{
		// Takes localhost and any one-word host name for a public suffix; what it
		// guards against are wildcards, which parseNames refuses.
		"n_san_iana_pub_suffix_empty",
	}
}

// certificate runs every lint, so that one refusal names all that is wrong.
func (l *lintSet) certificate(cert *x509.Certificate, want *spec) error {
	findings, err := l.standard(cert.Raw)
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

// standard runs the lints of zlint on any certificate.
func (l *lintSet) standard(raw []byte) ([]string, error) {
	cert, err := zx509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate for lints: %w", err)
	}
	var findings []string
	for _, lint := range l.certificates {
		findings = appendFinding(findings, lint.LintMetadata, lint.Execute(cert, l.config))
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
		findings = appendFinding(findings, lint.LintMetadata, lint.Execute(crl, l.config))
	}
	return refusal(findings)
}

// appendFinding takes a notice as seriously as an error.
func appendFinding(findings []string, meta zlint.LintMetadata, result *zlint.LintResult) []string {
	if result.Status <= zlint.Pass {
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
