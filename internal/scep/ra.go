package scep

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
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

	// reloadInterval is the shortest time between two loads on behalf of an unknown
	// recipient, so that garbage requests do not cause database queries and key
	// derivations.
	reloadInterval = 10 * time.Second
)

// errNoRA reports that no RA has a valid certificate.
var errNoRA = errors.New("there is no RA certificate: the CA is sealed, or the first one is not issued yet")

// Store holds the keys of RAs, shared by all replicas.
type Store interface {
	// AddRA stores the encrypted key of a certificate that is already recorded.
	AddRA(ctx context.Context, serial ca.Serial, encryptedKey []byte, notAfter time.Time) error

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

	mu     sync.Mutex // held while loading the list
	loaded time.Time  // time of the last load
}

// newest returns the RA that GetCACert announces.
func (r *raSet) newest(now time.Time) (*registrationAuthority, error) {
	list := r.list.Load()
	if list == nil || len(*list) == 0 || now.After((*list)[0].cert.NotAfter) {
		return nil, errNoRA
	}
	return (*list)[0], nil
}

// Refresh loads the RAs of all replicas, and issues a new one when there is none or
// when less than a third of the newest one's validity is left, or when another CA issues
// now. Without an issuer it only
// loads.
func (s *Server) Refresh(ctx context.Context) error {
	if err := s.loadRAs(ctx); err != nil {
		return err
	}
	now := s.c.Now()
	newest, err := s.ras.newest(now)
	if err == nil && newest.cert.NotAfter.Sub(now) > s.c.RA.Validity/3 && s.underActive(newest.cert) {
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

// underActive reports whether a certificate is from the CA that issues now: devices get
// both in one answer, and verify one with the other.
func (s *Server) underActive(cert *x509.Certificate) bool {
	chain := s.c.Registrar.Chain(nil)
	return len(chain) > 0 && cert.CheckSignatureFrom(chain[0]) == nil
}

// loadRAs loads the RAs and decrypts the keys it does not have yet: decryption is slow by
// design.
func (s *Server) loadRAs(ctx context.Context) error {
	s.ras.mu.Lock()
	defer s.ras.mu.Unlock()
	known := make(map[string]*registrationAuthority)
	if list := s.ras.list.Load(); list != nil {
		for _, ra := range *list {
			known[string(ra.cert.Raw)] = ra
		}
	}
	var list []*registrationAuthority
	err := s.c.Store.RAs(ctx, s.c.Now(), func(certificate, encrypted []byte) error {
		ra := known[string(certificate)]
		if ra == nil {
			var err error
			if ra, err = s.decryptRA(certificate, encrypted); err != nil {
				// A key under an earlier passphrase must not prevent loading the others.
				s.c.Log.Error("SCEP: decrypting RA key", "err", err)
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
	s.ras.loaded = s.c.Now()
	return nil
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

// recipient returns the RA that an envelope is encrypted to. It reloads the list for an
// unknown recipient, because another replica may have issued a new RA.
func (s *Server) recipient(ctx context.Context, e envelope) (*registrationAuthority, recipientInfo, bool) {
	if ra, r, ok := s.match(e); ok {
		return ra, r, true
	}
	s.ras.mu.Lock()
	stale := s.c.Now().Sub(s.ras.loaded) >= reloadInterval
	if stale {
		s.ras.loaded = s.c.Now()
	}
	s.ras.mu.Unlock()
	if !stale {
		return nil, recipientInfo{}, false
	}
	if err := s.loadRAs(ctx); err != nil {
		s.c.Log.Error("SCEP: loading RAs of other replicas", "err", err)
	}
	return s.match(e)
}

func (s *Server) match(e envelope) (*registrationAuthority, recipientInfo, bool) {
	list := s.ras.list.Load()
	if list == nil {
		return nil, recipientInfo{}, false
	}
	for _, ra := range *list {
		if r, ok := e.recipient(ra.cert); ok {
			return ra, r, true
		}
	}
	return nil, recipientInfo{}, false
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
