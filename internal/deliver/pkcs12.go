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

// Iterations is the count of every key derivation in a file, the MAC's too.
// Stock encoders use 2,048, and for the MAC of the 3DES kind a single one, at
// which a 59-bit password would fall in weeks.
const Iterations = 10_000

// Bundle is what goes into one PKCS#12 file.
type Bundle struct {
	// Key is an *rsa.PrivateKey or *ecdsa.PrivateKey: readers on phones know
	// no other, and a key held by a device cannot be exported.
	Key crypto.Signer

	// Leaf is the certificate of Key.
	Leaf *x509.Certificate

	// Chain holds the issuing CA and what is above it, nearest first. Self-signed
	// certificates in it are left out of the file. Optional.
	Chain []*x509.Certificate

	// Name is the friendlyName, what a device shows: the name of the device.
	// Control and direction characters are dropped, and what is beyond 255
	// UTF-16 units. Optional; the default is the common name of Leaf.
	Name string

	// Password is the install password, printable ASCII, never empty: other
	// characters are encoded differently by every reader, and Android and Apple
	// refuse the empty password.
	Password string

	// Format is how the file is encrypted. Optional; the default is FormatLegacy.
	Format Format

	// Rand gives salts and initialization vectors. A reader that repeats itself
	// gives the same bytes of the file, so that ranges and retries of one
	// download agree; it must differ for every Bundle. Optional; the default is
	// crypto/rand.
	Rand io.Reader
}

// PKCS12 makes the file (RFC 7292, DER) with [Iterations] iterations and a
// friendlyName on the key. An error means that the Bundle is refused or that
// Rand ended; it never carries key or password.
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

// check refuses what a device would only call a wrong password, hours later.
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

// fullReader fills every buffer or errs. The library calls Read once per salt,
// and a reader may return fewer bytes than asked for: the rest of such a salt
// would be zeros.
type fullReader struct{ r io.Reader }

func (f fullReader) Read(p []byte) (int, error) { return io.ReadFull(f.r, p) }

// withoutRoots drops what macOS would trust for everything and Windows would
// ask about: certificates that issued themselves.
func withoutRoots(chain []*x509.Certificate) []*x509.Certificate {
	kept := make([]*x509.Certificate, 0, len(chain))
	for _, c := range chain {
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			kept = append(kept, c)
		}
	}
	return kept
}
