package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/smallstep/pkcs7"
)

// maxBundle bounds the certificates of a bundle: a chain has two to five.
const maxBundle = 20

// ReadBundle reads the certificates that a CA gave, in any order: PEM, DER, or PKCS#7
// (.p7b) in either, also in UTF-16 as Windows tools write it. Certificates that come twice
// are given once. The error says what is in the file instead, and what to ask for.
func ReadBundle(file []byte) ([]*x509.Certificate, error) {
	if len(file) > maxAnchors {
		return nil, fmt.Errorf("reading certificates: the file has more than %d MiB: it is no chain of certificates", maxAnchors>>20)
	}
	certs, err := readBundle(plainText(file))
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	var once []*x509.Certificate
	for _, cert := range certs {
		if !slices.ContainsFunc(once, cert.Equal) {
			once = append(once, cert)
		}
	}
	if len(once) > maxBundle {
		return nil, fmt.Errorf("reading certificates: %d of them, more than %d: give the CA's certificate and its chain only, not a store of roots",
			len(once), maxBundle)
	}
	return once, nil
}

// ReadBundleFile reads a file as [ReadBundle] does.
func ReadBundleFile(path string) ([]*x509.Certificate, error) {
	file, err := readLimited(path, maxAnchors)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	certs, err := ReadBundle(file)
	return certs, wrap(path, err)
}

// plainText removes byte order marks; UTF-16 becomes ASCII.
func plainText(file []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(file, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(file, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	}
	units := make([]uint16, 0, len(file)/2)
	for rest := file[2:]; len(rest) >= 2; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

func readBundle(file []byte) ([]*x509.Certificate, error) {
	block, rest := pem.Decode(file)
	if block == nil {
		return readDER(bareBase64(file))
	}
	var certs []*x509.Certificate
	for n := 1; block != nil; n++ {
		found, err := readBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", n, err)
		}
		if certs = append(certs, found...); n > 4*maxBundle {
			return nil, fmt.Errorf("more than %d PEM blocks: give the CA's certificate and its chain only, not a store of roots", 4*maxBundle)
		}
		block, rest = pem.Decode(rest)
	}
	return certs, nil
}

func readBlock(block *pem.Block) ([]*x509.Certificate, error) {
	switch {
	case block.Type == "CERTIFICATE" || block.Type == "X509 CERTIFICATE" || block.Type == "TRUSTED CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		return []*x509.Certificate{cert}, err
	case block.Type == "PKCS7" || block.Type == "CMS":
		return readPKCS7(block.Bytes)
	case strings.Contains(block.Type, "PRIVATE KEY") || block.Type == encryptedKeyType:
		return nil, errors.New("it is a private key: no CA's certificate comes with one, and none may be given away")
	case strings.HasSuffix(block.Type, requestType):
		return nil, errors.New("it is a request: give what the CA made of it")
	}
	return nil, fmt.Errorf("it is %q: want CERTIFICATE or PKCS7", block.Type)
}

// bareBase64 decodes base64 without the lines of PEM, as some web pages show it.
func bareBase64(file []byte) []byte {
	text := strings.Join(strings.Fields(string(file)), "")
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) > 0 {
		return raw
	}
	return file
}

func readDER(file []byte) ([]*x509.Certificate, error) {
	if len(file) == 0 {
		return nil, errors.New("the file is empty")
	}
	certs, err := x509.ParseCertificates(file)
	if err == nil && len(certs) > 0 {
		return certs, nil
	}
	if certs, err := readPKCS7(file); err == nil {
		return certs, nil
	}
	if _, err := x509.ParseCertificateRequest(file); err == nil {
		return nil, errors.New("the file is a request: give what the CA made of it")
	}
	return nil, fmt.Errorf("the file is neither PEM, nor a certificate or PKCS#7 in DER: %w", err)
}

func readPKCS7(raw []byte) ([]*x509.Certificate, error) {
	message, err := pkcs7.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("reading PKCS#7: %w", err)
	}
	if len(message.Certificates) == 0 {
		return nil, errors.New("the PKCS#7 message holds no certificates")
	}
	return message.Certificates, nil
}
