package ocsp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca"
)

// signer is a key with its certificate of a delegated responder (RFC 6960 section
// 4.2.2.2). The key exists in this process only; after a restart a new one is made.
type signer struct {
	cert      *x509.Certificate
	certs     []byte // its certificate and that of the CA, so that a client needs only the root
	serial    ca.Serial
	key       crypto.Signer
	hash      crypto.Hash
	algorithm []byte // AlgorithmIdentifier of its signatures
	keyHash   []byte // responderID byKey of answers (RFC 6960 section 4.2.1)
}

func newSigner(cert, issuing *x509.Certificate, key crypto.Signer) (*signer, error) {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, errors.New("certificate of the OCSP signer is not that of its key")
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return nil, err
	}
	bits, err := keyBits(cert)
	if err != nil {
		return nil, err
	}
	s := &signer{
		cert: cert, certs: slices.Concat(cert.Raw, issuing.Raw), serial: serial, key: key, keyHash: sum(crypto.SHA1, bits),
	}
	return s, s.chooseAlgorithm()
}

// chooseAlgorithm follows RFC 5758 section 3.2 and RFC 4055 section 5.
func (s *signer) chooseAlgorithm() (err error) {
	id := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	s.hash = crypto.SHA256
	switch key := s.key.Public().(type) {
	case *rsa.PublicKey:
	case *ecdsa.PublicKey:
		id = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
		if key.Curve == elliptic.P384() {
			id.Algorithm[6], s.hash = 3, crypto.SHA384
		}
	default:
		return fmt.Errorf("key of the OCSP signer is a %T", key)
	}
	s.algorithm, err = asn1.Marshal(id)
	return err
}

// inForce reports whether the signer's certificate is valid at a time.
func (s *signer) inForce(now time.Time) bool {
	return !now.Before(s.cert.NotBefore) && now.Before(s.cert.NotAfter)
}

// renews is when the next signer is due: at half of the life of this one.
func (s *signer) renews() time.Time {
	return s.cert.NotBefore.Add(s.cert.NotAfter.Sub(s.cert.NotBefore) / 2)
}

// signers keeps the signer in use and makes the next one.
type signers struct {
	c               Config
	current         atomic.Pointer[signer]
	trouble, ending *trouble

	making sync.Mutex
}

// use gives the current signer and whether it may sign now.
func (s *signers) use(now time.Time) (*signer, bool) {
	held := s.current.Load()
	return held, held != nil && held.inForce(now)
}

// due reports whether it is time for a new signer.
func (s *signers) due(now time.Time) bool {
	held, ok := s.use(now)
	return !ok || !now.Before(held.renews())
}

// refresh makes a new signer when there is none, when half of its life is over, or when
// its certificate is not valid now. Until then the old one signs.
func (s *signers) refresh(ctx context.Context) error {
	s.making.Lock()
	defer s.making.Unlock()
	now := s.c.Now()
	if !s.due(now) {
		return nil
	}
	held := s.current.Load()
	made, err := s.make(ctx)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	s.trouble.note("making the OCSP signer", err)
	if err == nil {
		s.current.Store(made)
		s.ending.over()
		s.c.Log.Info("OCSP signer made", "serial", made.serial, "ends", made.cert.NotAfter)
		return nil
	}
	s.warnOfEnd(held, now)
	return err
}

func (s *signers) make(ctx context.Context) (*signer, error) {
	key, err := s.c.Key.Generate()
	if err != nil {
		return nil, err
	}
	cert, err := s.c.Certify(ctx, key.Public())
	if err != nil {
		return nil, fmt.Errorf("certifying its key: %w", err)
	}
	return newSigner(cert, s.c.Issuing, key)
}

// run checks every 5 seconds whether a signer is due, because the clock may be set. It
// makes one at most once a minute, because each try may reserve a serial.
func (s *signers) run(ctx context.Context) {
	var tried time.Time
	every(ctx, 5*time.Second, nil, func() {
		if s.due(s.c.Now()) && time.Since(tried) >= time.Minute {
			tried = time.Now()
			_ = s.refresh(ctx)
		}
	})
}

// warnOfEnd logs a warning when less than a quarter of the signer's life is left: without
// a signer no request is answered.
func (s *signers) warnOfEnd(held *signer, now time.Time) {
	if held == nil {
		return
	}
	life, left := held.cert.NotAfter.Sub(held.cert.NotBefore), held.cert.NotAfter.Sub(now)
	if left < life/4 && s.ending.unsaid(hour) {
		s.c.Log.Warn("the OCSP signer cannot be renewed and ends", "serial", held.serial, "ends", held.cert.NotAfter)
	}
}
