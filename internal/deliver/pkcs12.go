package deliver

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"

	"software.sslmate.com/src/go-pkcs12"
)

// Iterations is the iteration count of every key derivation in a file, including the
// MAC's. Common encoders use 2,048, and 1 for the MAC of the legacy format, with which
// a 59-bit password would be found in weeks.
const Iterations = 10_000

// Bundle is the content of one PKCS#12 file.
type Bundle struct {
	// Key is an *rsa.PrivateKey or *ecdsa.PrivateKey: phones support no other kind,
	// and a key in a hardware token cannot be exported.
	Key crypto.Signer

	// Leaf is the certificate of Key.
	Leaf *x509.Certificate

	// Chain holds the issuing CA and the CAs above it, nearest first. Self-signed
	// certificates in it are left out of the file. Optional.
	Chain []*x509.Certificate

	// Name is the friendlyName that a device shows: the name of the device. Control
	// and bidirectional characters are dropped, and it is truncated to 255 UTF-16
	// units. Optional; the default is the common name of Leaf.
	Name string

	// Password is the install password, printable ASCII, not empty: readers encode
	// other characters differently, and Android and Apple refuse an empty password.
	Password string

	// Format is how the file is encrypted. Optional; the default is FormatLegacy.
	Format Format

	// Rand gives salts and initialization vectors. A deterministic reader gives the
	// same bytes of the file, so that ranges and retries of one download agree; it
	// must differ for every Bundle. Optional; the default is crypto/rand.
	Rand io.Reader
}

// PKCS12 makes the file (RFC 7292, DER) with [Iterations] iterations and a
// friendlyName on the key. An error means that the Bundle is invalid or that Rand
// ended; it contains neither key nor password.
func PKCS12(b Bundle) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("making PKCS#12: %w", err)
	}
	encoder, err := b.encoder()
	if err != nil {
		return nil, fmt.Errorf("making PKCS#12: %w", err)
	}
	file, err := encoder.Encode(b.Key, b.Leaf, withoutRoots(b.Chain), b.Password)
	if err != nil {
		return nil, fmt.Errorf("encoding PKCS#12: %w", err)
	}
	name := cleanName(b.Name)
	if name == "" {
		name = cleanName(b.Leaf.Subject.CommonName)
	}
	if name == "" {
		return file, nil
	}
	return setFriendlyName(file, name, b.Password)
}

// check refuses a Bundle whose file a device would later reject as a wrong password.
func (b Bundle) check() error {
	if b.Leaf == nil {
		return errors.New("no certificate given")
	}
	if b.Password == "" {
		return errors.New("install password is empty")
	}
	for i := range len(b.Password) {
		if c := b.Password[i]; c < '!' || c > '~' {
			return errors.New("install password holds more than printable ASCII")
		}
	}
	switch key := b.Key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
	default:
		return fmt.Errorf("key of type %T is neither RSA nor ECDSA", key)
	}
	public, ok := b.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(b.Leaf.PublicKey) {
		return errors.New("key does not belong to the certificate")
	}
	return nil
}

// encoder returns the library's encoder of the Format.
func (b Bundle) encoder() (*pkcs12.Encoder, error) {
	random := b.Rand
	if random == nil {
		random = rand.Reader
	}
	switch b.Format {
	case FormatLegacy, "":
		return pkcs12.LegacyDES.WithIterations(Iterations).WithRand(fullReader{random}), nil
	case FormatModern:
		return pkcs12.Modern2023.WithIterations(Iterations).WithRand(fullReader{random}), nil
	}
	return nil, fmt.Errorf("file format %.20q is not known", string(b.Format))
}

// fullReader fills every buffer or returns an error. go-pkcs12 calls Read once per
// salt, and a short read would leave zeros in the salt.
type fullReader struct{ r io.Reader }

func (f fullReader) Read(p []byte) (int, error) { return io.ReadFull(f.r, p) }

// withoutRoots drops self-issued certificates, which macOS would trust for everything
// and Windows would ask about.
func withoutRoots(chain []*x509.Certificate) []*x509.Certificate {
	kept := make([]*x509.Certificate, 0, len(chain))
	for _, c := range chain {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			kept = append(kept, c)
		}
	}
	return kept
}
