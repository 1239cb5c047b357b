package adcs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/smallstep/pkcs7"
	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Agent is an enrolment agent: with its signature the portal requests certificates on
// behalf of people, and the CA takes their names from the directory (MS-WCCE section
// 3.2.1.4.2.1.4.1, enrollment on behalf of).
type Agent struct {
	// Certificate has the extended key usage Certificate Request Agent,
	// 1.3.6.1.4.1.311.20.2.1.
	Certificate *x509.Certificate

	// Chain is sent along for a CA that lacks the certificates above. Optional.
	Chain []*x509.Certificate

	// Key is of the kind RSA or ECDSA, in memory or in an HSM.
	Key crypto.Signer

	// PadNames ends both texts of the attribute with a NUL character, as some clients do.
	// Optional: Windows clients are not known to need it.
	PadNames bool
}

func oidRequestAgent() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}
}

// oidNameValuePair is szOID_ENROLLMENT_NAME_VALUE_PAIR (MS-WCCE section 2.2.2.7.10).
func oidNameValuePair() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 13, 2, 1}
}

// Check reports why the CA would refuse the agent's signature, as far as the certificate
// shows it. Whether the CA limits the agent to one template and one group only the CA knows.
func (a *Agent) Check(now time.Time) error {
	if a.Certificate == nil || a.Key == nil {
		return errors.New("enrolment agent lacks certificate or key")
	}
	public, ok := a.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(a.Certificate.PublicKey) {
		return errors.New("key of the enrolment agent is not that of its certificate")
	}
	if !slices.ContainsFunc(a.Certificate.UnknownExtKeyUsage, oidRequestAgent().Equal) {
		return errors.New("certificate of the enrolment agent lacks the extended key usage Certificate Request Agent (1.3.6.1.4.1.311.20.2.1)")
	}
	if now.Before(a.Certificate.NotBefore) || now.After(a.Certificate.NotAfter) {
		return fmt.Errorf("certificate of the enrolment agent is valid from %s to %s only: renew it",
			a.Certificate.NotBefore.UTC().Format(time.RFC3339), a.Certificate.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// Request signs a PKCS#10 request in DER on behalf of a person, given as DOMAIN\name. The
// result is CMS SignedData (RFC 5652 section 5) in DER.
func (a *Agent) Request(csr []byte, login string) ([]byte, error) {
	pair, err := nameValuePair("requestername", login, a.PadNames)
	if err != nil {
		return nil, err
	}
	signed, err := pkcs7.NewSignedData(csr)
	if err != nil {
		return nil, fmt.Errorf("signing on behalf of %q: %w", login, err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	// No application policies (1.3.6.1.4.1.311.21.10), which some tools add: they are how
	// CVE-2024-49019 (ESC15) is used, and CAs raise alarms for them.
	err = signed.AddSigner(a.Certificate, a.Key, pkcs7.SignerInfoConfig{
		ExtraSignedAttributes: []pkcs7.Attribute{{Type: oidNameValuePair(), Value: asn1.RawValue{FullBytes: pair}}},
	})
	if err != nil {
		return nil, fmt.Errorf("signing on behalf of %q: %w", login, err)
	}
	for _, cert := range a.Chain {
		if !bytes.Equal(cert.Raw, a.Certificate.Raw) {
			signed.AddCertificate(cert)
		}
	}
	message, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("signing on behalf of %q: %w", login, err)
	}
	return message, nil
}

// nameValuePair encodes an EnrollmentNameValuePair.
func nameValuePair(name, login string, pad bool) ([]byte, error) {
	if err := checkLogin(login); err != nil {
		return nil, err
	}
	if pad {
		name, login = name+"\x00", login+"\x00"
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, text := range []string{name, login} {
			b.AddASN1(der.Tag(30), func(b *cryptobyte.Builder) { // BMPString
				for _, unit := range utf16.Encode([]rune(text)) {
					b.AddUint16(unit)
				}
			})
		}
	})
	pair, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding requester %q: %w", login, err)
	}
	return pair, nil
}

// maxLogin is in characters: 15 of a NetBIOS domain, the backslash, 256 of a sAMAccountName.
const maxLogin = 272

// checkLogin accepts DOMAIN\name only. Another form could be resolved to another account:
// a name without domain by the CA's own rules, one with a second backslash by its parts.
func checkLogin(login string) error {
	domain, name, found := strings.Cut(login, `\`)
	if !found || domain == "" || name == "" || strings.ContainsAny(name, `\/@"`) || strings.ContainsAny(domain, `/@"`) {
		return fmt.Errorf("login %q: want DOMAIN\\name", login)
	}
	if strings.TrimSpace(domain) != domain || strings.TrimSpace(name) != name {
		return fmt.Errorf("login %q begins or ends with a space", login)
	}
	runes := []rune(login)
	if len(runes) > maxLogin {
		return fmt.Errorf("login of %d characters: want at most %d", len(runes), maxLogin)
	}
	for _, r := range runes {
		if r > 0xffff || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return fmt.Errorf("login %q holds a character that the CA cannot read", login)
		}
	}
	return nil
}
