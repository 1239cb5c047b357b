package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// Issuers is what the caIssuers addresses of one certificate gave: whether clients that
// lack a certificate of the chain can get it there.
type Issuers struct {
	Certificate *x509.Certificate
	State       State
	Text        string
	Addresses   []Address           // none: the certificate names no such address
	Found       []*x509.Certificate // certificates there that verify its signature
}

// Issuers fetches the certificates of the issuer of cert from the addresses in its
// authority information access (RFC 5280 section 4.2.2.1). If issuer is not nil, each
// address must have it. Addresses are alternatives. The context bounds the time of all.
func (c *Client) Issuers(ctx context.Context, cert, issuer *x509.Certificate) Issuers {
	i := Issuers{Certificate: cert}
	for _, address := range cert.IssuingCertificateURL {
		i.Addresses = append(i.Addresses, c.issuer(ctx, &i, issuer, address))
	}
	i.State = stateOf(i.Addresses)
	switch {
	case len(i.Addresses) == 0:
		i.State, i.Text = Warning, "it names no address of its issuer's certificate: clients must have it from elsewhere"
	case i.State == Good:
		i.Text = "the issuer's certificate is there"
	case i.State == NotChecked:
		i.Text = "the portal asks http addresses only, and the certificate names none"
	default:
		l := Lists{Points: []Point{{Addresses: i.Addresses}}}
		i.Text = l.failures()
	}
	return i
}

func (c *Client) issuer(ctx context.Context, i *Issuers, issuer *x509.Certificate, address string) Address {
	a := Address{URL: address}
	if err := checkable(address); err != nil {
		a.State, a.Text = NotChecked, err.Error()
		return a
	}
	body, err := c.get(ctx, address, MaxCertificate)
	if err != nil {
		a.State, a.Problem, a.Text = Failed, Unreachable, err.Error()
		return a
	}
	certs, text, err := parseCertificates(body)
	if err != nil {
		a.State, a.Problem, a.Text = Failed, Invalid, err.Error()
		return a
	}
	a.State, a.Problem, a.Text = Failed, Invalid, "none of the certificates there signed this one"
	for _, got := range certs {
		if i.Certificate.CheckSignatureFrom(got) != nil {
			continue
		}
		i.keep(got)
		same := issuer == nil || bytes.Equal(got.Raw, issuer.Raw)
		switch {
		case same:
			a.State, a.Problem, a.Text = Good, 0, "the issuer's certificate"
		case a.State == Failed:
			a.State, a.Problem, a.Text = Warning, 0, "another certificate of the issuer's key than the one in the chain"
		}
	}
	if text && a.State != Failed {
		a.warn("it is PEM text, not DER, which not every client reads (RFC 5280 section 4.2.2.1)")
	}
	return a
}

func (i *Issuers) keep(cert *x509.Certificate) {
	for _, known := range i.Found {
		if bytes.Equal(known.Raw, cert.Raw) {
			return
		}
	}
	i.Found = append(i.Found, cert)
}

var errNoCertificate = errors.New("what is there is no certificate")

// parseCertificates reads one certificate in DER or PEM, several, or a PKCS#7 message
// with certificates (RFC 5280 section 4.2.2.1). text reports PEM.
func parseCertificates(body []byte) (certs []*x509.Certificate, text bool, err error) {
	block, rest := pem.Decode(body)
	if block == nil {
		certs, err = parseDER(body)
		return certs, false, err
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "PKCS7", "CERTIFICATE CHAIN":
			more, err := parseDER(block.Bytes)
			if err != nil {
				return nil, true, err
			}
			certs = append(certs, more...)
		default:
			return nil, true, fmt.Errorf("a PEM block of type %q is published there, which is no certificate", block.Type)
		}
	}
	return certs, true, nil
}

func parseDER(der []byte) ([]*x509.Certificate, error) {
	if certs, err := x509.ParseCertificates(der); err == nil && len(certs) > 0 {
		return certs, nil
	}
	message, err := pkcs7.Parse(der)
	if err != nil || len(message.Certificates) == 0 {
		return nil, errNoCertificate
	}
	return message.Certificates, nil
}
