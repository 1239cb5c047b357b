package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
)

// readLimited reads a whole file of at most limit octets.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("reading %s: more than %d octets", path, limit)
	}
	return content, nil
}

// readCertificate reads a file with one certificate.
func readCertificate(path string) (*x509.Certificate, error) {
	certs, err := readCertificates(path)
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, fmt.Errorf("reading %s: %d certificates, want one", path, len(certs))
	}
	return certs[0], nil
}

// readCertificates reads a file with certificates, at least one.
func readCertificates(path string) ([]*x509.Certificate, error) {
	file, err := readLimited(path, maxAnchors)
	if err != nil {
		return nil, err
	}
	certs, err := ParseAnchors(file)
	return certs, wrap("reading "+path, err)
}

// readRequest reads a certificate request in PEM and checks its signature.
func readRequest(path string) (*x509.CertificateRequest, error) {
	file, err := readLimited(path, maxCertFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(file)
	if block == nil || block.Type != requestType {
		return nil, fmt.Errorf("reading %s: there is no PEM block %q", path, requestType)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return request, wrap("reading "+path, request.CheckSignature())
}

// readKey opens the key of a key file that other users cannot read.
func readKey(path string, keys Opener) (crypto.Signer, error) {
	file, err := readKeyFile(path)
	if err != nil {
		return nil, err
	}
	key, err := keys.OpenKey(file)
	return key, wrap(path, err)
}

func readKeyFile(path string) ([]byte, error) {
	if err := checkKeyMode(path); err != nil {
		return nil, err
	}
	return readLimited(path, maxKeyFile)
}

// checkKeyMode refuses a key that group or others may read: the passphrase should
// not be the only protection from other users of the machine.
func checkKeyMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o, run: chmod 600 %s", ErrExposed, path, mode, path)
	}
	return nil
}
