package fetch

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/ocsp"

	"certportal/ca"
)

// maxAnswer bounds an OCSP response in bytes: one with the chain of its responder has a few
// thousand.
const maxAnswer = 64 << 10

// Answer is what an OCSP responder of a CA said about a certificate.
type Answer struct {
	URL                    string
	Revoked                *ca.Revocation // nil: it is good
	ThisUpdate, NextUpdate time.Time      // NextUpdate is zero where there always is a newer one
}

// ErrNoResponder means that a certificate names no OCSP responder that can be asked.
var ErrNoResponder = errors.New("the certificate names no http address of an OCSP responder")

// Ask asks the OCSP responders that a certificate names whether it is revoked, until one
// gives an answer that counts (RFC 6960). The error says why none did.
func (c *Client) Ask(ctx context.Context, cert, issuer *x509.Certificate, now time.Time) (Answer, error) {
	var errs []error
	for _, address := range cert.OCSPServer {
		if checkable(address) != nil {
			continue
		}
		answer, err := c.ask(ctx, address, cert, issuer, now)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", address, err))
	}
	if len(errs) == 0 {
		return Answer{}, ErrNoResponder
	}
	return Answer{}, errors.Join(errs...)
}

func (c *Client) ask(ctx context.Context, address string, cert, issuer *x509.Certificate, now time.Time) (Answer, error) {
	request, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return Answer{}, fmt.Errorf("asking about certificate: %w", err)
	}
	body, err := c.do(ctx, http.MethodPost, address, request, maxAnswer)
	if err != nil {
		return Answer{}, err
	}
	said, err := ocsp.ParseResponseForCert(body, cert, issuer)
	if err != nil {
		return Answer{}, errors.New("it gives no answer that the authority or its responder signed")
	}
	if err := checkAnswer(said, request, issuer, now); err != nil {
		return Answer{}, err
	}
	a := Answer{URL: address, ThisUpdate: said.ThisUpdate, NextUpdate: said.NextUpdate}
	if said.Status == ocsp.Revoked {
		serial, _ := ca.SerialOf(cert.SerialNumber) // zero for one of more than 20 octets
		a.Revoked = &ca.Revocation{Serial: serial, At: said.RevokedAt, Reason: said.RevocationReason}
	}
	return a, nil
}

// checkAnswer checks what the library does not: that the responder may answer for the CA,
// that the answer is about this CA's certificate, and its time (RFC 6960 sections 3.2 and
// 4.2.2.2).
func checkAnswer(said *ocsp.Response, request []byte, issuer *x509.Certificate, now time.Time) error {
	by := said.Certificate
	switch {
	case said.Status == ocsp.Unknown:
		return errors.New("it does not know the certificate")
	case by != nil && !bytes.Equal(by.Raw, issuer.Raw) && !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("the certificate that signed its answer may not sign answers (OCSPSigning is missing)")
	case by != nil && (now.Before(by.NotBefore.Add(-ca.ClockSkew)) || now.After(by.NotAfter)):
		return errors.New("the certificate of its responder is not valid now")
	case !aboutSame(said, request):
		return errors.New("its answer is about a certificate of another authority")
	case said.ThisUpdate.After(now.Add(ca.ClockSkew)):
		return errors.New("its answer is of the future: compare the clocks")
	case !said.NextUpdate.IsZero() && !now.Before(said.NextUpdate):
		return errors.New("its answer has ended: something on the way keeps copies for too long")
	case said.NextUpdate.IsZero() && now.Sub(said.ThisUpdate) > maxAnswerAge:
		return errors.New("its answer is too old")
	}
	return nil
}

// maxAnswerAge bounds the age of an answer that does not say when it ends.
const maxAnswerAge = 24 * time.Hour

// aboutSame reports whether an answer repeats name and key of the CA, and the serial, from
// the request: ocsp.Response does not have them.
func aboutSame(said *ocsp.Response, request []byte) bool {
	asked, err := ocsp.ParseRequest(request)
	if err != nil {
		return false
	}
	var b cryptobyte.Builder
	b.AddASN1OctetString(asked.IssuerNameHash)
	b.AddASN1OctetString(asked.IssuerKeyHash)
	b.AddASN1BigInt(asked.SerialNumber)
	id, err := b.Bytes()
	return err == nil && bytes.Contains(said.TBSResponseData, id)
}
