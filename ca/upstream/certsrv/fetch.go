package certsrv

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
)

// fetch gets the certificate of a request, with its chain. The answer waits when the server
// sends a page without an error instead.
func (c *Client) fetch(ctx context.Context, number string) (upstream.Answer, error) {
	answer := upstream.Answer{ID: number}
	got, err := c.ask(ctx, http.MethodGet, "certnew.cer?ReqID="+number+"&Enc=bin", "")
	if err != nil {
		return upstream.Answer{}, err
	}
	if answer.Certificate, err = parseCertificate(got.Body); err == nil {
		answer.Chain = c.chain(ctx, number, answer.Certificate)
		return answer, nil
	}
	p, notPage := parsePage(got.Body)
	if notPage != nil {
		return upstream.Answer{}, notPage
	}
	answer.Text = p.text()
	switch codes := p.codes(); {
	case len(codes) > 0 || p.denied():
		return upstream.Answer{}, p.refusal(codes)
	case len(p.elements) == 0 && !strings.Contains(p.all, "Taken Under Submission"):
		return upstream.Answer{}, fmt.Errorf("answer is neither a certificate nor a page of the CA: %w", err)
	}
	return answer, nil
}

// chain gets the certificates above leaf. It gives none when they cannot be had: the seam
// builds the chain from certificates that it has.
func (c *Client) chain(ctx context.Context, number string, leaf *x509.Certificate) []*x509.Certificate {
	got, err := c.ask(ctx, http.MethodGet, "certnew.p7b?ReqID="+number+"&Enc=bin", "")
	if err != nil {
		return nil
	}
	return adcs.Certificates(der(got.Body), leaf)
}

// parseCertificate reads a certificate in DER or PEM. The content type is not looked at:
// some servers give a wrong one.
func parseCertificate(body []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der(body))
	if err != nil {
		return nil, fmt.Errorf("parsing certificate: %w", err)
	}
	return cert, nil
}

// der gives the bytes of a PEM block at the start, or body itself.
func der(body []byte) []byte {
	if text := bytes.TrimSpace(body); bytes.HasPrefix(text, []byte("-----BEGIN ")) {
		if block, _ := pem.Decode(text); block != nil {
			return block.Bytes
		}
	}
	return body
}

// Probe implements [upstream.CA]: it gets the certificates of the CA, which proves address,
// TLS, credentials and the way to the CA. Not proven are template, agent and rights.
func (c *Client) Probe(ctx context.Context) ([]*x509.Certificate, error) {
	got, err := c.ask(ctx, http.MethodGet, "certcarc.asp", "")
	if err != nil {
		return nil, fmt.Errorf("probing the web enrolment pages: %w", err)
	}
	renewals := regexp.MustCompile(`(?i)\bnRenewals\s*=\s*([0-9]{1,4})\s*;`).FindSubmatch(got.Body)
	if renewals == nil {
		return nil, errors.New("probing the web enrolment pages: certcarc.asp names no CA certificate: is this the folder certsrv?")
	}
	got, err = c.ask(ctx, http.MethodGet, "certnew.p7b?ReqID=CACert&Renewal="+string(renewals[1])+"&Enc=bin", "")
	if err != nil {
		return nil, fmt.Errorf("probing the web enrolment pages: %w", err)
	}
	certs := adcs.Certificates(der(got.Body), nil)
	if len(certs) == 0 {
		return nil, errors.New("probing the web enrolment pages: the chain of the CA holds no certificate")
	}
	return certs, nil
}
