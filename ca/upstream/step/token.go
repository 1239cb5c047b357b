package step

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"certportal/ca"
)

// tokenLife is how long a token is good, as step ca token makes them.
const tokenLife = 5 * time.Minute

// tokens makes the one-time tokens of a JWK provisioner (RFC 7519, ES256).
type tokens struct {
	host        string
	provisioner string
	key         func() (string, error)
	password    func() (string, error)
	now         func() time.Time

	// Opening a key takes 600,000 rounds of PBKDF2, so the last one is kept, with a hash
	// of the texts that it was opened from.
	mu     sync.Mutex
	opened *jose.JSONWebKey
	from   [sha256.Size]byte
}

// claims are those that step-ca checks, and in certportal what its template takes.
type claims struct {
	Issuer       string        `json:"iss"`
	Audience     string        `json:"aud"`
	Subject      string        `json:"sub"`
	SANs         []string      `json:"sans,omitempty"`
	Confirmation *confirmation `json:"cnf,omitempty"`
	ID           string        `json:"jti"`
	IssuedAt     int64         `json:"iat"`
	NotBefore    int64         `json:"nbf"`
	Expires      int64         `json:"exp"`
	Person       *person       `json:"certportal,omitempty"`
}

// confirmation binds a token to one certificate request: a stolen token signs no other key.
type confirmation struct {
	Fingerprint string `json:"x5rt#S256"`
}

// person is what the template of docs/upstream-step-ca.md puts into the certificate.
type person struct {
	UPN      string `json:"upn"`
	Mail     string `json:"mail,omitempty"`
	SID      string `json:"sid,omitempty"`      // value of the extension, base64 of DER
	Template string `json:"template,omitempty"` // value of the extension, base64 of DER
}

// sign makes the token for one certificate request.
func (t *tokens) sign(csr *x509.CertificateRequest, s ca.Subject) (string, error) {
	sum := sha256.Sum256(csr.Raw)
	c := claims{
		Audience: "https://" + t.host + pathSign,
		// step-ca compares the common name of the request with subject and names.
		Subject:      csr.Subject.CommonName,
		SANs:         csr.EmailAddresses,
		Confirmation: &confirmation{Fingerprint: base64.RawURLEncoding.EncodeToString(sum[:])},
		Person: &person{
			UPN:      s.UPN,
			SID:      extension(csr, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 25, 2}),
			Template: extension(csr, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2}),
		},
	}
	if c.Subject == "" {
		c.Subject = s.UPN
	}
	if len(csr.EmailAddresses) > 0 {
		c.Person.Mail = csr.EmailAddresses[0]
	}
	return t.issue(c)
}

// revoke makes the token for the revocation of one serial number, in decimal.
func (t *tokens) revoke(serial string) (string, error) {
	return t.issue(claims{Audience: "https://" + t.host + pathRevoke, Subject: serial})
}

func extension(csr *x509.CertificateRequest, id asn1.ObjectIdentifier) string {
	for _, e := range csr.Extensions {
		if e.Id.Equal(id) {
			return base64.StdEncoding.EncodeToString(e.Value)
		}
	}
	return ""
}

func (t *tokens) issue(c claims) (string, error) {
	key, err := t.open()
	if err != nil {
		return "", fmt.Errorf("opening key of the provisioner: %w", err)
	}
	now := t.now()
	c.Issuer, c.ID = t.provisioner, rand.Text()
	c.IssuedAt, c.NotBefore, c.Expires = now.Unix(), now.Unix(), now.Add(tokenLife).Unix()
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("preparing signature: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing token: %w", err)
	}
	return signed.CompactSerialize()
}

// open reads the key, and decrypts it when it or its password changed.
func (t *tokens) open() (*jose.JSONWebKey, error) {
	text, err := t.key()
	if err != nil {
		return nil, err
	}
	password := ""
	if t.password != nil {
		if password, err = t.password(); err != nil {
			return nil, err
		}
	}
	from := sha256.Sum256([]byte(fmt.Sprintf("%d %s%s", len(text), text, password)))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened != nil && t.from == from {
		return t.opened, nil
	}
	opened, err := parseKey(strings.TrimSpace(text), password)
	if err != nil {
		return nil, err
	}
	t.opened, t.from = opened, from
	return opened, nil
}

// parseKey opens a JWK, or a JWE of one. Its errors hold nothing of key and password.
func parseKey(text, password string) (*jose.JSONWebKey, error) {
	plain := []byte(text)
	var kind struct {
		KeyType string `json:"kty"`
	}
	if json.Unmarshal(plain, &kind) != nil || kind.KeyType == "" {
		sealed, err := jose.ParseEncrypted(text,
			[]jose.KeyAlgorithm{jose.PBES2_HS256_A128KW, jose.PBES2_HS384_A192KW, jose.PBES2_HS512_A256KW},
			[]jose.ContentEncryption{jose.A128GCM, jose.A192GCM, jose.A256GCM, jose.A128CBC_HS256, jose.A256CBC_HS512})
		if err != nil {
			return nil, errors.New("text is neither a JWK nor a JWK encrypted with a password")
		}
		if plain, err = sealed.Decrypt([]byte(password)); err != nil {
			return nil, errors.New("password does not open the key")
		}
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(plain); err != nil {
		return nil, errors.New("key is not a JWK")
	}
	private, is := key.Key.(*ecdsa.PrivateKey)
	if !is || private.Curve != elliptic.P256() {
		return nil, errors.New("key is not a private key on the curve P-256 (step crypto jwk create --kty EC --crv P-256)")
	}
	if key.KeyID == "" {
		thumbprint, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("computing thumbprint: %w", err)
		}
		key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	return &key, nil
}

func samePublicKey(public jose.JSONWebKey, private *jose.JSONWebKey) bool {
	found, is := public.Key.(*ecdsa.PublicKey)
	return is && found.Equal(private.Public().Key)
}
