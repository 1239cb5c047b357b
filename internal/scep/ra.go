package scep

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
)

const (
	// raValidity is short: devices fetch the certificate for every request.
	raValidity = 90 * 24 * time.Hour

	// raProfile is the name of its profile in the store.
	raProfile = "SCEP"

	// decryptInterval is the shortest time between two attempts to decrypt the same key: the
	// derivation of the key that decrypts it is slow by design, and the passphrase stays.
	decryptInterval = time.Hour
)

var (
	// errNoRA reports that no RA has a valid certificate.
	errNoRA = errors.New("there is no RA certificate: the CA is sealed, or the first one is not issued yet")

	// errNoKey reports that this replica cannot decrypt the key of a valid RA.
	errNoKey = errors.New("the key of this RA cannot be decrypted here: is the passphrase that of the other replicas?")
)

// Store holds the keys of RAs, shared by all replicas.
type Store interface {
	// AddRA stores the encrypted key of a certificate that is already recorded.
	AddRA(ctx context.Context, serial ca.Serial, encryptedKey []byte, notAfter time.Time) error

	// RA returns certificate and encrypted key of a valid RA. The error wraps
	// portal.ErrNotFound when the serial is not that of one.
	RA(ctx context.Context, serial ca.Serial, now time.Time) (certificate, encryptedKey []byte, err error)

	// RAs calls found with the certificate and encrypted key of each valid RA, newest
	// first.
	RAs(ctx context.Context, now time.Time, found func(certificate, encryptedKey []byte) error) error
}

// registrationAuthority has the certificate and key to which devices encrypt.
type registrationAuthority struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// raSet holds the valid RAs, newest first. The list is replaced, never modified.
type raSet struct {
	list atomic.Pointer[[]*registrationAuthority]

	changing chan struct{}        // semaphore of one, held while the list changes
	failed   map[string]time.Time // by certificate, guarded by changing: when its key could not be decrypted

	refreshing sync.Mutex // so that a replica issues one RA at a time
}

func newRASet() raSet {
	return raSet{changing: make(chan struct{}, 1), failed: make(map[string]time.Time)}
}

func (r *raSet) all() []*registrationAuthority {
	if list := r.list.Load(); list != nil {
		return *list
	}
	return nil
}

// lock waits until the list may be changed. The caller calls the function that it returns.
func (r *raSet) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case r.changing <- struct{}{}:
		return func() { <-r.changing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting while RAs are loaded: %w", ctx.Err())
	}
}

// Reload loads the RAs of all replicas, without those that were revoked, and issues a new
// one when none of the CA that issues now is left. It costs one query.
func (s *Server) Reload(ctx context.Context) error {
	if err := s.loadRAs(ctx); err != nil {
		return err
	}
	if ra, err := s.announced(); err == nil && s.underActive(ra.cert) {
		return nil
	}
	return s.Refresh(ctx)
}

// announced returns the RA for GetCACert, which also signs refusals: the newest one under the
// CA that issues now, or, until there is one, the newest of another CA.
func (s *Server) announced() (*registrationAuthority, error) {
	var other *registrationAuthority
	for _, ra := range s.ras.all() {
		switch {
		case s.c.Now().After(ra.cert.NotAfter):
		case s.underActive(ra.cert):
			return ra, nil
		case other == nil:
			other = ra
		}
	}
	if other == nil {
		return nil, errNoRA
	}
	return other, nil
}

// underActive reports whether the CA that issues now signed a certificate. What the store
// returns is not believed: a phone would refuse it.
func (s *Server) underActive(cert *x509.Certificate) bool {
	active, own := s.c.Registrar.Chain(nil), s.c.Registrar.Chain(cert)
	return len(active) > 0 && len(own) > 0 && own[0].Equal(active[0]) && cert.CheckSignatureFrom(active[0]) == nil
}

// Refresh loads the RAs of all replicas, and issues a new one when there is none or
// when less than a third of the newest one's validity is left, or when another CA issues
// now. Without an issuer it only
// loads.
func (s *Server) Refresh(ctx context.Context) error {
	s.ras.refreshing.Lock()
	defer s.ras.refreshing.Unlock()
	if err := s.loadRAs(ctx); err != nil {
		return err
	}
	ra, err := s.announced()
	if err == nil && ra.cert.NotAfter.Sub(s.c.Now()) > s.c.RA.Validity/3 && s.underActive(ra.cert) {
		return nil
	}
	if s.c.Issuer == nil {
		return err
	}
	if err := s.issueRA(ctx); err != nil {
		return fmt.Errorf("issuing RA certificate: %w", err)
	}
	return s.loadRAs(ctx)
}

// loadRAs loads the RAs and decrypts the keys it does not have yet: decryption is slow by
// design.
func (s *Server) loadRAs(ctx context.Context) error {
	unlock, err := s.ras.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	known := make(map[string]*registrationAuthority)
	for _, ra := range s.ras.all() {
		known[string(ra.cert.Raw)] = ra
	}
	var list []*registrationAuthority
	err = s.c.Store.RAs(ctx, s.c.Now(), func(certificate, encrypted []byte) error {
		ra := known[string(certificate)]
		if ra == nil {
			var err error
			if ra, err = s.tryDecrypt(certificate, encrypted); err != nil {
				// A key under an earlier passphrase must not prevent loading the others.
				return nil
			}
		}
		list = append(list, ra)
		return nil
	})
	if err != nil {
		return fmt.Errorf("loading RAs: %w", err)
	}
	s.ras.list.Store(&list)
	return nil
}

// tryDecrypt decrypts a key, unless it could not be decrypted a short time ago. Its error is
// errNoKey. The caller holds the lock of the list.
func (s *Server) tryDecrypt(certificate, encrypted []byte) (*registrationAuthority, error) {
	now := s.c.Now()
	maps.DeleteFunc(s.ras.failed, func(_ string, at time.Time) bool { return now.Sub(at) >= decryptInterval })
	if _, failed := s.ras.failed[string(certificate)]; failed {
		return nil, errNoKey
	}
	ra, err := s.decryptRA(certificate, encrypted)
	if err != nil {
		s.ras.failed[string(certificate)] = now
		s.c.Log.Error("SCEP: decrypting RA key", "err", err)
		return nil, errNoKey
	}
	return ra, nil
}

func (s *Server) decryptRA(certificate, encrypted []byte) (*registrationAuthority, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("parsing RA certificate: %w", err)
	}
	signer, err := s.c.Decrypt(encrypted)
	if err != nil {
		return nil, fmt.Errorf("decrypting RA key: %w", err)
	}
	key, ok := signer.(*rsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("RA key of %T does not match its certificate", signer)
	}
	return &registrationAuthority{cert: cert, key: key}, nil
}

// issueRA stores the key last: a crash before that leaves a certificate whose key is
// lost.
func (s *Server) issueRA(ctx context.Context) error {
	key, err := ca.RSA2048.Generate()
	if err != nil {
		return err
	}
	encrypted, err := s.c.Encrypt(key)
	if err != nil {
		return fmt.Errorf("encrypting key: %w", err)
	}
	cert, err := s.c.Issuer.IssueOwn(ctx, enroll.OwnRequest{
		Profile: raProfile, Certificate: s.c.RA, Key: key.Public(), Detail: map[string]string{"name": s.c.RA.Name},
	})
	if err != nil {
		return err
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return err
	}
	return s.c.Store.AddRA(ctx, serial, encrypted, cert.NotAfter)
}
