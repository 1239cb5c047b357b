package hsm

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"certportal/ca"
)

const (
	referenceType = "CERTPORTAL TOKEN KEY"

	maxReference = 4 << 10
	maxLabel     = 128
	idSize       = 8
)

// Reference says where a key is: the content of its key file. It holds no secret.
type Reference struct {
	Token  string // label of the token
	Label  string // CKA_LABEL of the key
	ID     []byte // CKA_ID; eight octets in files
	Public crypto.PublicKey
}

// IsReference reports whether the content of a key file is a reference, good or bad.
func IsReference(file []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(file, " \t\r\n"), []byte("-----BEGIN "+referenceType+"-----"))
}

// Encode writes the reference in PEM: the public key, and the rest in headers.
func (r Reference) Encode() ([]byte, error) {
	public, err := x509.MarshalPKIXPublicKey(r.Public)
	if err != nil {
		return nil, fmt.Errorf("writing reference to a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: referenceType, Bytes: public, Headers: map[string]string{
		"Token": r.Token, "Label": r.Label, "Id": hex.EncodeToString(r.ID),
	}}), nil
}

// ParseReference reads what Encode wrote, and refuses anything else.
func ParseReference(file []byte) (Reference, error) {
	r, err := parseReference(file)
	if err != nil {
		return Reference{}, fmt.Errorf("reading reference to a key in a token: %w", err)
	}
	return r, nil
}

func parseReference(file []byte) (Reference, error) {
	if len(file) > maxReference {
		return Reference{}, fmt.Errorf("it has %d octets, more than %d", len(file), maxReference)
	}
	block, rest := pem.Decode(file)
	if block == nil || block.Type != referenceType {
		return Reference{}, fmt.Errorf("there is no PEM block %q", referenceType)
	}
	if len(bytes.TrimSpace(rest)) > 0 || len(block.Headers) != 3 {
		return Reference{}, errors.New("it holds more than one reference, or other headers than Token, Label and Id")
	}
	r := Reference{Token: block.Headers["Token"], Label: block.Headers["Label"]}
	for _, label := range []string{r.Token, r.Label} {
		if err := checkLabel(label); err != nil {
			return Reference{}, err
		}
	}
	var err error
	if r.ID, err = hex.DecodeString(block.Headers["Id"]); err != nil || len(r.ID) != idSize {
		return Reference{}, fmt.Errorf("header Id is not %d octets in hexadecimal digits", idSize)
	}
	if r.Public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return Reference{}, err
	}
	_, err = ca.KindOf(r.Public)
	return r, err
}

// name distinguishes the keys of one token. The public key belongs to it: administrators give
// labels themselves, and use one again when they renew a key.
func (r Reference) name() string {
	public, err := x509.MarshalPKIXPublicKey(r.Public)
	if err != nil {
		public = nil // find refuses it
	}
	return fmt.Sprintf("%x %x %s", sha256.Sum256(public), r.ID, r.Label)
}

// checkLabel accepts labels that a line of text can hold.
func checkLabel(label string) error {
	if label == "" || len(label) > maxLabel || !utf8.ValidString(label) || label != strings.TrimSpace(label) ||
		strings.ContainsFunc(label, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("label %q is empty, longer than %d octets, or not plain text", label, maxLabel)
	}
	return nil
}
