package web_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"testing"

	der "golang.org/x/crypto/cryptobyte/asn1"
)

// plainRSA signs with keys that Go would not touch.
type plainRSA struct {
	public rsa.PublicKey
	d      *big.Int
}

func (k *plainRSA) Public() crypto.PublicKey { return &k.public }

// Sign is RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.1).
func (k *plainRSA) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	info, err := hex.DecodeString("3031300d060960864801650304020105000420")
	if err != nil {
		return nil, err
	}
	size := k.public.Size()
	padded := bytes.Repeat([]byte{0xff}, size)
	padded[0], padded[1] = 0, 1
	padded[size-len(info)-len(digest)-1] = 0
	copy(padded[size-len(info)-len(digest):], append(info, digest...))
	return new(big.Int).Exp(new(big.Int).SetBytes(padded), k.d, k.public.N).FillBytes(make([]byte, size)), nil
}

// rsaOf builds a key out of two primes, nil where they do not go with the exponent.
func rsaOf(e int, p, q *big.Int) *plainRSA {
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(int64(e)), phi)
	if d == nil {
		return nil
	}
	return &plainRSA{rsa.PublicKey{N: new(big.Int).Mul(p, q), E: e}, d}
}

func prime(t *testing.T) *big.Int {
	t.Helper()
	p, err := rand.Prime(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// withExponent3 is an RSA key of 2048 bits.
func withExponent3(t *testing.T) *plainRSA {
	t.Helper()
	for {
		if key := rsaOf(3, prime(t), prime(t)); key != nil {
			return key
		}
	}
}

// withClosePrimes is a key that Fermat's method factors.
func withClosePrimes(t *testing.T) *plainRSA {
	t.Helper()
	p := prime(t)
	q := new(big.Int).Set(p)
	for q.Add(q, big.NewInt(2)); !q.ProbablyPrime(20); q.Add(q, big.NewInt(2)) {
	}
	return rsaOf(65537, p, q)
}

// ofROCA is a request for the weak key of package ca's tests. Its private key is
// unknown, so another key signs the request.
func ofROCA(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../ca/testdata/keys/roca.pub.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	weak, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, err := phoneKeys[0]()
	if err != nil {
		t.Fatal(err)
	}
	raw := requestDER(t, key)
	return inPEM("CERTIFICATE REQUEST", bytes.Replace(raw, key.N.Bytes(), weak.(*rsa.PublicKey).N.Bytes(), 1))
}

// withSHA1 signs a request as it was done before 2016; Go itself would not.
func withSHA1(t *testing.T) string {
	t.Helper()
	key, err := phoneKeys[0]()
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(requestDER(t, key))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(request.RawTBSCertificateRequest)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA1, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	algorithm := tlv(der.SEQUENCE, oid(t, "1.2.840.113549.1.1.5"), tlv(der.NULL))
	return inPEM("CERTIFICATE REQUEST", tlv(der.SEQUENCE, request.RawTBSCertificateRequest, algorithm,
		tlv(der.BIT_STRING, []byte{0}, signature)))
}
