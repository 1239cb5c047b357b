package scep

import (
	"context"
	"crypto"
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
	// agentLife is short: devices ask for the certificate each time.
	agentLife = 90 * 24 * time.Hour

	// agentProfile is the profile of its certificate in the records.
	agentProfile = "SCEP"

	// lookAgain is how soon the store is asked again for an agent of another
	// replica, so that requests to nobody do not become queries and key openings.
	lookAgain = 10 * time.Second
)

// errNoAgent says that nobody can be encrypted to.
var errNoAgent = errors.New("there is no agent: the CA is sealed, or its first certificate is still to be made")

// Seal guards a key for the store; Open gives it back.
type (
	Seal func(crypto.Signer) ([]byte, error)
	Open func([]byte) (crypto.Signer, error)
)

// Agents keeps the keys of agents, shared by all replicas.
type Agents interface {
	// AddAgent keeps a sealed key; the certificate is recorded already.
	AddAgent(ctx context.Context, serial ca.Serial, sealedKey []byte, notAfter time.Time) error

	// Agents calls found with certificate and sealed key of each agent in force,
	// newest first.
	Agents(ctx context.Context, now time.Time, found func(certificate, sealedKey []byte) error) error
}

// agent is who devices talk to.
type agent struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// agents are those in force, newest first. The list is replaced and never
// changed.
type agents struct {
	list atomic.Pointer[[]*agent]

	mu     sync.Mutex // held while the list is loaded
	looked time.Time  // last time it was
}

// newest is the agent that devices are told of.
func (a *agents) newest(now time.Time) (*agent, error) {
	list := a.list.Load()
	if list == nil || len(*list) == 0 || now.After((*list)[0].cert.NotAfter) {
		return nil, errNoAgent
	}
	return (*list)[0], nil
}

// Refresh loads the agents of all replicas, and makes a new one when there is
// none or a third of the newest one's life is left. Without an issuer it only
// loads.
func (s *Server) Refresh(ctx context.Context) error {
	if err := s.loadAgents(ctx); err != nil {
		return err
	}
	now := s.c.Now()
	newest, err := s.agents.newest(now)
	if err == nil && newest.cert.NotAfter.Sub(now) > s.c.Agent.Validity/3 {
		return nil
	}
	if s.c.Issuer == nil {
		return err
	}
	if err := s.makeAgent(ctx); err != nil {
		return fmt.Errorf("making agent: %w", err)
	}
	return s.loadAgents(ctx)
}

// loadAgents opens the keys that are not open yet: opening is dear on purpose.
func (s *Server) loadAgents(ctx context.Context) error {
	s.agents.mu.Lock()
	defer s.agents.mu.Unlock()
	known := make(map[string]*agent)
	if list := s.agents.list.Load(); list != nil {
		for _, a := range *list {
			known[string(a.cert.Raw)] = a
		}
	}
	var list []*agent
	err := s.c.Agents.Agents(ctx, s.c.Now(), func(certificate, sealed []byte) error {
		a := known[string(certificate)]
		if a == nil {
			var err error
			if a, err = s.openAgent(certificate, sealed); err != nil {
				// One that does not open, of an earlier passphrase perhaps, is replaced
				// and must not stop the others.
				s.c.Log.Error("opening an agent of SCEP", "err", err)
				return nil
			}
		}
		list = append(list, a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("loading agents: %w", err)
	}
	s.agents.list.Store(&list)
	s.agents.looked = s.c.Now()
	return nil
}

func (s *Server) openAgent(certificate, sealed []byte) (*agent, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("parsing agent certificate: %w", err)
	}
	signer, err := s.c.Open(sealed)
	if err != nil {
		return nil, fmt.Errorf("opening agent key: %w", err)
	}
	key, ok := signer.(*rsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("agent key of %T is not that of its certificate", signer)
	}
	return &agent{cert: cert, key: key}, nil
}

// recipient finds the agent that an envelope is for. Another replica may have
// made a new one a moment ago.
func (s *Server) recipient(ctx context.Context, e envelope) (*agent, recipientInfo, bool) {
	if a, r, ok := s.match(e); ok {
		return a, r, true
	}
	s.agents.mu.Lock()
	stale := s.c.Now().Sub(s.agents.looked) >= lookAgain
	if stale {
		s.agents.looked = s.c.Now()
	}
	s.agents.mu.Unlock()
	if !stale {
		return nil, recipientInfo{}, false
	}
	if err := s.loadAgents(ctx); err != nil {
		s.c.Log.Error("looking for an agent of another replica", "err", err)
	}
	return s.match(e)
}

func (s *Server) match(e envelope) (*agent, recipientInfo, bool) {
	list := s.agents.list.Load()
	if list == nil {
		return nil, recipientInfo{}, false
	}
	for _, a := range *list {
		if r, ok := e.recipient(a.cert); ok {
			return a, r, true
		}
	}
	return nil, recipientInfo{}, false
}

// makeAgent stores the key last: a crash before that leaves a certificate whose key is
// lost.
func (s *Server) makeAgent(ctx context.Context) error {
	key, err := ca.RSA2048.Generate()
	if err != nil {
		return err
	}
	sealed, err := s.c.Seal(key)
	if err != nil {
		return fmt.Errorf("sealing key: %w", err)
	}
	cert, err := s.c.Issuer.IssueOwn(ctx, enroll.OwnRequest{
		Profile: agentProfile, Certificate: s.c.Agent, Key: key.Public(), Detail: map[string]string{"name": s.c.Agent.Name},
	})
	if err != nil {
		return err
	}
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return err
	}
	return s.c.Agents.AddAgent(ctx, serial, sealed, cert.NotAfter)
}
