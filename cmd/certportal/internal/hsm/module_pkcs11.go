//go:build pkcs11

package hsm

import (
	"crypto"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	"certportal/ca"
)

// Built reports whether the program was built with PKCS#11.
const Built = true

// maxSessions bounds the sessions with a token, one of which is kept for the login.
const maxSessions = 9

// cryptoSession is an open token of crypto11, which keeps the pool of sessions.
type cryptoSession struct{ token *crypto11.Context }

func openSession(module, label, pin string) (session, error) {
	if _, err := os.Stat(module); err != nil {
		return nil, fmt.Errorf("PKCS#11 module: %w", err)
	}
	opened, err := crypto11.Configure(&crypto11.Config{
		Path: module, TokenLabel: label, Pin: pin, MaxSessions: maxSessions, PoolWaitTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", module, explain(err))
	}
	return cryptoSession{opened}, nil
}

func (s cryptoSession) find(ref Reference) ([]tokenKey, error) {
	found, err := s.token.FindKeyPairs(ref.ID, []byte(ref.Label))
	if err != nil {
		return nil, explain(err)
	}
	list := make([]tokenKey, len(found))
	for i, key := range found {
		list[i] = explainedKey{key}
	}
	return list, nil
}

// create makes a key pair that stays in the token. The private key signs and does nothing
// else.
func (s cryptoSession) create(ref Reference, kind ca.KeyKind) (crypto.PublicKey, error) {
	public, err := crypto11.NewAttributeSetWithIDAndLabel(ref.ID, []byte(ref.Label))
	if err != nil {
		return nil, err
	}
	private := public.Copy()
	for attribute, value := range map[crypto11.AttributeType]bool{
		crypto11.CkaPrivate: true, crypto11.CkaSensitive: true, crypto11.CkaExtractable: false,
		crypto11.CkaSign: true, crypto11.CkaDecrypt: false, crypto11.CkaUnwrap: false,
	} {
		if err := private.Set(attribute, value); err != nil {
			return nil, err
		}
	}
	if err := public.Set(crypto11.CkaEncrypt, false); err != nil {
		return nil, err
	}
	var made crypto11.Signer
	switch kind {
	case ca.RSA3072, ca.RSA4096:
		bits := 3072
		if kind == ca.RSA4096 {
			bits = 4096
		}
		made, err = s.token.GenerateRSAKeyPairWithAttributes(public, private, bits)
	case ca.ECP256:
		made, err = s.token.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P256())
	case ca.ECP384:
		made, err = s.token.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P384())
	default:
		return nil, fmt.Errorf("keys of the kind %s are not made in tokens", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; the token may be full or write-protected", explain(err))
	}
	return made.Public(), nil
}

// close ends all sessions. The session of the login has no use after an error, so that none
// of its own is of interest.
func (s cryptoSession) close() { _ = s.token.Close() }

// explainedKey is a key whose errors are those of this package.
type explainedKey struct{ crypto11.Signer }

// Sign signs.
func (k explainedKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := k.Signer.Sign(rand, digest, opts)
	return signature, explain(err)
}

// Delete removes the key.
func (k explainedKey) Delete() error { return explain(k.Signer.Delete()) }

// explain says what an error of a module means and what to do. The code stays in it.
func explain(err error) error {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return err
	}
	switch uint(code) {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE:
		return fmt.Errorf("%w (%w)", ErrPIN, err)
	case pkcs11.CKR_PIN_LOCKED:
		return fmt.Errorf("%w, which is locked after too many wrong ones; its officer sets a new one (%w)", ErrPIN, err)
	case pkcs11.CKR_PIN_EXPIRED:
		return fmt.Errorf("%w, which has expired; its officer sets a new one (%w)", ErrPIN, err)
	case pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_USER_NOT_LOGGED_IN,
		pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:
		return fmt.Errorf("%w (%w)", errSession, err)
	case pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_SLOT_ID_INVALID:
		return fmt.Errorf("the token is gone (%w)", err)
	case pkcs11.CKR_DEVICE_MEMORY:
		return fmt.Errorf("the token is full (%w)", err)
	case pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_SESSION_READ_ONLY:
		return fmt.Errorf("the token is write-protected (%w)", err)
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_CURVE_NOT_SUPPORTED, pkcs11.CKR_KEY_SIZE_RANGE:
		return fmt.Errorf("the token does not know this kind of key: choose another with ca.root_key and ca.issuing_key (%w)", err)
	}
	return fmt.Errorf("the module answers with an error (%w)", err)
}

// inspect looks whether a token is there and can make and use keys of a kind. It needs no
// PIN.
func inspect(module, label string, kind ca.KeyKind) error {
	if _, err := os.Stat(module); err != nil {
		return fmt.Errorf("PKCS#11 module: %w", err)
	}
	ctx := pkcs11.New(module)
	if ctx == nil {
		return fmt.Errorf("%s is no PKCS#11 module for this machine, or lacks a library of its own", module)
	}
	defer ctx.Destroy()
	switch err := ctx.Initialize(); {
	case err == nil:
		defer func() { _ = ctx.Finalize() }()
	case err != pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED):
		return fmt.Errorf("module %s: %w", module, explain(err))
	}
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return fmt.Errorf("module %s: %w", module, explain(err))
	}
	var there []string
	for _, slot := range slots {
		info, err := ctx.GetTokenInfo(slot)
		if err != nil {
			continue // another token
		}
		if info.Label == label {
			return knows(ctx, slot, kind)
		}
		if info.Label != "" {
			there = append(there, fmt.Sprintf("%q", info.Label))
		}
	}
	slices.Sort(there)
	if len(there) == 0 {
		there = []string{"none"}
	}
	return fmt.Errorf("there is no token %q in the module %s; there is %s", label, module, strings.Join(there, ", "))
}

// knows looks for the mechanisms that keys of a kind need.
func knows(ctx *pkcs11.Ctx, slot uint, kind ca.KeyKind) error {
	needed := []uint{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, pkcs11.CKM_RSA_PKCS}
	if kind == ca.ECP256 || kind == ca.ECP384 {
		needed = []uint{pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKM_ECDSA}
	}
	for _, mechanism := range needed {
		if _, err := ctx.GetMechanismInfo(slot, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}); err != nil {
			return explain(err)
		}
	}
	return nil
}
