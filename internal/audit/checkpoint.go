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

// Checkpoint is a signature over the head of the chain at a time. To rewrite entries up
// to there, an attacker needs the key, which is not in the database.
type Checkpoint struct {
	Head
	At   time.Time // UTC, milliseconds
	Node string    // replica that signed

	// Key is the serial of the certificate whose key signed, as of ca.Serial.String.
	Key       string
	Signature []byte // ECDSA over SHA-256, in ASN.1
}

// checkpointFormat starts what is signed; see the formats of entries.
const checkpointFormat = "certportal ledger seal 1"

func (c Checkpoint) digest() [sha256.Size]byte {
	b := appendField(nil, checkpointFormat)
	b = appendNumber(b, c.Seq)
	b = append(b, c.Hash[:]...)
	b = appendNumber(b, c.At.UnixMilli())
	b = appendField(b, c.Node)
	b = appendField(b, c.Key)
	return sha256.Sum256(b)
}

// Sign returns the checkpoint with its signature. The key must be an ECDSA key.
func (c Checkpoint) Sign(key crypto.Signer) (Checkpoint, error) {
	if _, ok := key.Public().(*ecdsa.PublicKey); !ok {
		return Checkpoint{}, fmt.Errorf("signing checkpoint of entry %d: key is a %T", c.Seq, key.Public())
	}
	c.At = c.At.UTC().Truncate(time.Millisecond)
	digest := c.digest()
	var err error
	if c.Signature, err = key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return Checkpoint{}, fmt.Errorf("signing checkpoint of entry %d: %w", c.Seq, err)
	}
	return c, nil
}

// Verify checks the signature. The caller must know whose key it is.
func (c Checkpoint) Verify(key crypto.PublicKey) error {
	public, ok := key.(*ecdsa.PublicKey)
	digest := c.digest()
	if !ok || !ecdsa.VerifyASN1(public, digest[:], c.Signature) {
		return errors.New("signature of the checkpoint does not verify")
	}
	return nil
}
