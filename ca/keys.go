package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"certportal/internal/durable"
)

// KeyKind is an algorithm and size of keys that the portal makes and certifies.
// The zero value is none.
type KeyKind string

// The kinds of keys that the portal makes and certifies, and no others. Old
// Exchange servers and all phones accept RSA 2048.
const (
	RSA2048 KeyKind = "rsa-2048"
	RSA3072 KeyKind = "rsa-3072"
	RSA4096 KeyKind = "rsa-4096"
	ECP256  KeyKind = "ec-p256"
	ECP384  KeyKind = "ec-p384"
)

// KeyError says why a public key is not certified. Reason is lower case and
// contains no key material, so that log and pages may show it.
type KeyError struct {
	Reason string
}

// Error gives the reason.
func (e *KeyError) Error() string { return "refusing public key: " + e.Reason }

// ParseKeyKind parses the value of a setting, such as "rsa-2048". The error lists
// the valid kinds.
func ParseKeyKind(s string) (KeyKind, error) {
	switch k := KeyKind(s); k {
	case RSA2048, RSA3072, RSA4096, ECP256, ECP384:
		return k, nil
	}
	return "", fmt.Errorf("parsing key kind %q: want rsa-2048, rsa-3072, rsa-4096, ec-p256 or ec-p384", s)
}

// Generate makes a new private key with crypto/rand. RSA keys take tens to
// hundreds of milliseconds of one core, elliptic curve keys microseconds.
func (k KeyKind) Generate() (crypto.Signer, error) {
	if bits := k.bits(); bits > 0 {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	switch k {
	case ECP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return nil, fmt.Errorf("generating key: unknown kind %q", string(k))
}

// isRSA reports whether keys of this kind can encrypt as well as sign, which
// decides the key usage.
func (k KeyKind) isRSA() bool { return k.bits() > 0 }

// bits gives the length of the modulus, zero for elliptic curves.
func (k KeyKind) bits() int {
	switch k {
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

// KindOf gives the kind of a public key. It returns a [*KeyError] for keys that are
// not certified: other algorithms, curves and sizes, RSA exponents other than
// 65537, RSA moduli with small factors or with the ROCA weakness (CVE-2017-15361),
// points not on their curve. RSA primes that are too close to each other are found
// later, by a lint of [Issuer.Prepare].
func KindOf(pub crypto.PublicKey) (KeyKind, error) {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		return rsaKind(key)
	case *ecdsa.PublicKey:
		return ecKind(key)
	}
	return "", &KeyError{Reason: fmt.Sprintf("algorithm of %T is not RSA or ECDSA", pub)}
}

func rsaKind(key *rsa.PublicKey) (KeyKind, error) {
	if key == nil || key.N == nil || key.N.Sign() <= 0 {
		return "", &KeyError{Reason: "RSA modulus is missing"}
	}
	// RFC 8017 allows any odd exponent. Small ones had attacks on padding, and
	// devices in use make 65537 only.
	if key.E != 65537 {
		return "", &KeyError{Reason: fmt.Sprintf("RSA exponent %d is not 65537", key.E)}
	}
	for _, kind := range []KeyKind{RSA2048, RSA3072, RSA4096} {
		if key.N.BitLen() != kind.bits() {
			continue
		}
		if reason := weakModulus(key.N); reason != "" {
			return "", &KeyError{Reason: reason}
		}
		return kind, nil
	}
	return "", &KeyError{Reason: fmt.Sprintf("RSA modulus of %d bits is not 2048, 3072 or 4096", key.N.BitLen())}
}

func ecKind(key *ecdsa.PublicKey) (KeyKind, error) {
	if key == nil || key.Curve == nil {
		return "", &KeyError{Reason: "elliptic curve is missing"}
	}
	var kind KeyKind
	switch key.Curve {
	case elliptic.P256():
		kind = ECP256
	case elliptic.P384():
		kind = ECP384
	default:
		return "", &KeyError{Reason: fmt.Sprintf("curve %s is not P-256 or P-384", key.Curve.Params().Name)}
	}
	// The conversion checks that the point is on the curve (NIST SP 800-56A
	// section 5.6.2.3.3); one that is not leaks the other party's key.
	if _, err := key.ECDH(); err != nil {
		return "", &KeyError{Reason: "elliptic curve point is not on its curve"}
	}
	return kind, nil
}

// signing describes how keys of one kind sign certificates and CRLs.
type signing struct {
	algorithm x509.SignatureAlgorithm
	hash      crypto.Hash
	der       []byte // AlgorithmIdentifier, RFC 4055 section 5 and RFC 5758 section 3.2
}

// signing gives the hash and algorithm of a kind. Each kind has one hash of matching
// strength, so that the AlgorithmIdentifier follows from the kind.
func (k KeyKind) signing() signing {
	switch k {
	case ECP256:
		return signing{x509.ECDSAWithSHA256, crypto.SHA256,
			[]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}}
	case ECP384:
		return signing{x509.ECDSAWithSHA384, crypto.SHA384,
			[]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03}}
	}
	return signing{x509.SHA256WithRSA, crypto.SHA256,
		[]byte{0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00}}
}

// DeriveSecret derives 32 bytes from a private key (RFC 5869), the same from each copy
// of it. Who does not have the key cannot compute them, and they reveal nothing of it.
// A key that cannot be exported, as in an HSM, is refused.
func DeriveSecret(key crypto.Signer, label string) ([32]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return [32]byte{}, fmt.Errorf("deriving secret from key: %w", err)
	}
	defer clear(plain)
	secret, err := hkdf.Key(sha256.New, plain, nil, label, sha256.Size)
	if err != nil {
		return [32]byte{}, fmt.Errorf("deriving secret from key: %w", err)
	}
	return [32]byte(secret), nil
}

// secretKeyFile is the name of the key of [AddSecretKey].
const secretKeyFile = "secret.key"

// AddSecretKey writes a key that certifies nothing into a CA folder: other secrets are
// derived from it where no key of a CA can be exported. An existing one is never replaced:
// the error then wraps [fs.ErrExist].
func AddSecretKey(dir string, passphrase []byte) error {
	key, err := ECP256.Generate()
	if err != nil {
		return fmt.Errorf("adding secret key: %w", err)
	}
	encrypted, err := EncryptKey(key, passphrase)
	if err != nil {
		return fmt.Errorf("adding secret key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("adding secret key: %w", err)
	}
	return wrap("adding secret key", durable.Create(filepath.Join(dir, secretKeyFile), encrypted, 0o600))
}

// SecretKey opens the key of [AddSecretKey]. The error wraps [fs.ErrNotExist] when there is
// none.
func SecretKey(dir string, keys Opener) (crypto.Signer, error) {
	key, err := readKey(filepath.Join(dir, secretKeyFile), keys)
	return key, wrap("opening secret key", err)
}

// weakModulus gives the weakness of an RSA modulus that is easy to factor, or "".
// It takes tens of microseconds.
func weakModulus(n *big.Int) string {
	roca := true
	rest := new(big.Int)
	divisor := new(big.Int)
	for _, p := range smallPrimes() {
		r := rest.Mod(n, divisor.SetInt64(p)).Int64()
		if r == 0 {
			return "RSA modulus has a small factor"
		}
		// CVE-2017-15361 (ROCA): the primes of the broken generator are powers of
		// 65537 modulo every small prime up to 167, hence so is their product. A
		// sound modulus has this property once in many million keys.
		if roca && p <= 167 && !powerOf65537(r, p) {
			roca = false
		}
	}
	if roca {
		return "RSA modulus carries the trace of the ROCA weakness (CVE-2017-15361)"
	}
	return ""
}

// powerOf65537 reports whether r is a power of 65537 modulo the prime p.
func powerOf65537(r, p int64) bool {
	g := 65537 % p
	for x := g; ; x = x * g % p {
		if x == r {
			return true
		}
		if x == 1 {
			return false
		}
	}
}

// smallPrimes gives the primes below 752, the bound of the trial division of NIST SP
// 800-89 section 5.3.3.
func smallPrimes() []int64 {
	primes := make([]int64, 0, 133)
	for candidate := int64(2); candidate < 752; candidate++ {
		composite := false
		for _, p := range primes {
			if candidate%p == 0 {
				composite = true
				break
			}
		}
		if !composite {
			primes = append(primes, candidate)
		}
	}
	return primes
}
