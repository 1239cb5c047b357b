package ca

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/smallstep/pkcs7"
)

// maxAnchors bounds the file in bytes; the chains of a company take a few kilobytes.
const maxAnchors = 1 << 20

// PEM writes certificates one after the other, in the given order.
func PEM(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, cert := range certs {
		b.Write(pemCertificate(cert))
	}
	return b.Bytes()
}

// PKCS7 writes certificates as a certificates-only message in DER (RFC 5652
// section 5.2, usually called .p7b), which Windows and Java import in one go.
func PKCS7(certs ...*x509.Certificate) ([]byte, error) {
	if len(certs) == 0 {
		return nil, errors.New("encoding PKCS#7: no certificates")
	}
	var raw []byte
	for _, cert := range certs {
		raw = append(raw, cert.Raw...)
	}
	message, err := pkcs7.DegenerateCertificate(raw)
	return message, wrap("encoding PKCS#7", err)
}

// ParseAnchors reads certificates from a file that an administrator supplies:
// PEM with any number of certificates, or DER with one or several. Text around
// the PEM blocks is allowed. A private key among them is an error, so that it is
// not published by mistake. The error names the block.
func ParseAnchors(file []byte) ([]*x509.Certificate, error) {
	if len(file) > maxAnchors {
		return nil, fmt.Errorf("parsing certificates: file has %d octets, more than %d", len(file), maxAnchors)
	}
	// Windows editors put a byte order mark in front, and PEM must begin a line.
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	block, rest := pem.Decode(file)
	if block == nil {
		certs, err := x509.ParseCertificates(file)
		if err == nil && len(certs) == 0 {
			err = errors.New("file is empty")
		}
		return certs, wrap("parsing certificates", err)
	}
	var certs []*x509.Certificate
	for n := 1; block != nil; n++ {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			return nil, fmt.Errorf("parsing certificates: block %d is %q, not CERTIFICATE", n, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing certificates: block %d: %w", n, err)
		}
		certs = append(certs, cert)
		block, rest = pem.Decode(rest)
	}
	return certs, nil
}

// Fingerprint gives the SHA-256 of a certificate as pairs of upper-case
// hexadecimal digits with colons between, as browsers and phones show it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	var b strings.Builder
	for i, octet := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return b.String()
}
