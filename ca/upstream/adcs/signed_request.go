package adcs

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca/upstream"
)

// Form is the syntax of a request.
type Form int

const (
	PKCS10 Form = iota // RFC 2986, without agent
	CMS                // SignedData of an agent around PKCS#10
)

// SignedRequest makes what goes to the CA: the request of r, signed by an agent on behalf of
// r.Login when agent is not nil. It refuses a request for another template than the common
// name given.
func SignedRequest(r upstream.Request, template string, agent func() (*Agent, error), now time.Time) ([]byte, Form, error) {
	if err := checkRequest(r.CSR, template); err != nil {
		return nil, 0, err
	}
	if agent == nil {
		return r.CSR, PKCS10, nil
	}
	a, err := agent()
	if err != nil {
		return nil, 0, fmt.Errorf("reading enrolment agent: %w", err)
	}
	if err := a.Check(now); err != nil {
		return nil, 0, err
	}
	signed, err := a.Request(r.CSR, r.Login)
	return signed, CMS, err
}

// maxTemplate is how long the common name of an entry may be (rangeUpper of cn, MS-ADA1).
const maxTemplate = 64

// ValidTemplate accepts the common name of a template: no name that would add a request
// attribute, such as SAN.
func ValidTemplate(name string) bool {
	return name != "" && len(name) <= maxTemplate && strings.IndexFunc(name, func(r rune) bool {
		return r < ' ' || r > '~' || strings.ContainsRune(":\\&,;\"", r)
	}) < 0
}

// oidTemplateName is szOID_ENROLL_CERTTYPE (MS-WCCE section 2.2.2.7.7.1).
func oidTemplateName() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}
}

// checkRequest refuses to hand on a request that its own key did not sign or that is for
// another template than the configured one: with an agent's signature the CA would issue
// any template that the agent may enrol.
func checkRequest(raw []byte, template string) error {
	csr, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return fmt.Errorf("parsing certificate request: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("checking certificate request: %w", err)
	}
	for _, e := range csr.Extensions {
		if e.Id.Equal(oidTemplateName()) {
			if got := bmpText(e.Value); got != template {
				return fmt.Errorf("certificate request is for template %q, and this CA is set up for %q", got, template)
			}
			return nil
		}
	}
	return fmt.Errorf("certificate request names no template: want %q", template)
}

// bmpText reads a BMPString in DER, such as the template name. It is empty for other bytes.
func bmpText(value []byte) string {
	input := cryptobyte.String(value)
	var text cryptobyte.String
	if !input.ReadASN1(&text, der.Tag(30)) || !input.Empty() || len(text)%2 != 0 {
		return ""
	}
	var units []uint16
	for !text.Empty() {
		var unit uint16
		text.ReadUint16(&unit)
		units = append(units, unit)
	}
	return string(utf16.Decode(units))
}
