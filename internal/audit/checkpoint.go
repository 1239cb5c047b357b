package audit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Seal is a signature over the end of the chain at a moment. Whoever rewrites the
// chain up to there, hashes and all, would have to make it anew, and the key is
// not in the database.
type Checkpoint struct {
	Head
	At   time.Time // UTC, milliseconds
	Node string    // which replica sealed

	// Key is the serial of the certificate whose key signed, in the form of
	// ca.Serial.String.
	Key       string
	Signature []byte // ECDSA over SHA-256, in ASN.1
}

// sealFormat opens what is signed; see the formats of entries.
const sealFormat = "certportal ledger seal 1"

func (s Checkpoint) digest() [sha256.Size]byte {
	b := appendField(nil, sealFormat)
	b = appendNumber(b, s.Seq)
	b = append(b, s.Hash[:]...)
	b = appendNumber(b, s.At.UnixMilli())
	b = appendField(b, s.Node)
	b = appendField(b, s.Key)
	return sha256.Sum256(b)
}

// Sign gives the seal with its signature. The key must be an ECDSA key.
func (s Checkpoint) Sign(key crypto.Signer) (Checkpoint, error) {
	if _, ok := key.Public().(*ecdsa.PublicKey); !ok {
		return Checkpoint{}, fmt.Errorf("sealing entry %d: key is a %T", s.Seq, key.Public())
	}
	s.At = s.At.UTC().Truncate(time.Millisecond)
	digest := s.digest()
	var err error
	if s.Signature, err = key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return Checkpoint{}, fmt.Errorf("sealing entry %d: %w", s.Seq, err)
	}
	return s, nil
}

// Verify checks the signature. Whose key that is the caller must know.
func (s Checkpoint) Verify(key crypto.PublicKey) error {
	public, ok := key.(*ecdsa.PublicKey)
	digest := s.digest()
	if !ok || !ecdsa.VerifyASN1(public, digest[:], s.Signature) {
		return errors.New("signature of the seal does not verify")
	}
	return nil
}
