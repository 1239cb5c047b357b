package scep

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"

	wire "github.com/smallstep/scep"

	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// The words under which the ledger keeps messages that were refused before
// anybody was found behind them: add, do not rename.
const (
	deniedType      = "message-type"
	deniedSignature = "message-signature"
	deniedAlgorithm = "message-algorithm"
	deniedEnvelope  = "message-envelope" // does not open, or holds no sound request
	deniedSigner    = "message-signer"   // not signed by the key of the request
)

// request is a message that was opened: what it asks for, and how to answer it.
type request struct {
	message
	enroll.KeyRequest
	cipher asn1.ObjectIdentifier
}

// answer gives the message back that answers one. It returns errMalformed for
// what cannot be answered in kind, and an *enroll.Outage when a part did not do
// its work and nothing was decided.
func (s *Server) answer(ctx context.Context, by portal.Actor, raw []byte) ([]byte, error) {
	newest, err := s.agents.newest(s.c.Now())
	if err != nil {
		return nil, err
	}
	m, err := parseMessage(raw)
	switch {
	case errors.Is(err, errAlgorithm):
		return s.deny(ctx, by, newest, m, wire.BadAlg, deniedAlgorithm)
	case errors.Is(err, errSignature):
		return s.deny(ctx, by, newest, m, wire.BadMessageCheck, deniedSignature)
	case err != nil:
		return nil, err
	}
	// Before anything of it is opened: what is not on the list has no way past the
	// rules (CVE-2026-30836).
	var issue func(context.Context, portal.Actor, request) (*x509.Certificate, error)
	switch m.kind {
	case wire.PKCSReq:
		issue = s.first
	case wire.RenewalReq:
		issue = s.next
	default:
		return s.deny(ctx, by, newest, m, wire.BadRequest, deniedType)
	}
	req, a, err := s.open(ctx, m)
	switch {
	case errors.Is(err, errAlgorithm):
		return s.deny(ctx, by, newest, m, wire.BadAlg, deniedAlgorithm)
	case err != nil:
		s.c.Log.Info("message of SCEP does not open", "request", by.Request, "address", by.Address)
		return s.deny(ctx, by, newest, m, wire.BadRequest, deniedEnvelope)
	}
	cert, err := issue(ctx, by, req)
	if refused(err) {
		s.c.Log.Info("request of SCEP refused", "request", by.Request, "address", by.Address, "type", m.name(), "err", err)
		return a.failure(m, wire.BadRequest)
	}
	if err != nil {
		return nil, err
	}
	return a.success(m, req.cipher, cert)
}

// deny records a no and answers it. Reason and sender's words stay apart: of the
// message only its type is kept.
func (s *Server) deny(ctx context.Context, by portal.Actor, a *agent, m message, info wire.FailInfo, why string) ([]byte, error) {
	s.c.Registrar.NoteDenied(ctx, by, "message", why, map[string]string{"type": m.name()})
	return a.failure(m, info)
}

// open decrypts the envelope and reads the request in it. The error is
// errAlgorithm, which anybody could see from outside, or else one and the same
// for everything: what is wrong inside is not for whoever sent it to learn.
func (s *Server) open(ctx context.Context, m message) (request, *agent, error) {
	e, err := parseEnvelope(m.content)
	if err != nil {
		return request{}, nil, err
	}
	a, recipient, ok := s.recipient(ctx, e)
	if !ok {
		return request{}, nil, errEnvelope
	}
	plain, err := e.open(recipient, a.key)
	if err != nil {
		return request{}, nil, err
	}
	key, err := enroll.ParseKeyRequest(plain)
	if err != nil {
		s.c.Log.Info("request in a message of SCEP not taken", "err", err)
		return request{}, nil, errEnvelope
	}
	return request{message: m, KeyRequest: key, cipher: e.cipher}, a, nil
}

// first serves PKCSReq.
func (s *Server) first(ctx context.Context, by portal.Actor, req request) (*x509.Certificate, error) {
	if !signedByOwnKey(req) {
		s.c.Registrar.NoteDenied(ctx, by, "message", deniedSigner, map[string]string{"type": req.name()})
		return nil, &portal.Denial{Why: deniedSigner}
	}
	return s.c.Registrar.Redeem(ctx, by, req.Challenge, req.Key)
}

// next serves RenewalReq: a challenge in it opens nothing.
func (s *Server) next(ctx context.Context, by portal.Actor, req request) (*x509.Certificate, error) {
	return s.c.Registrar.Renew(ctx, by, req.signer, req.Key)
}

// signedByOwnKey holds a first request to be signed with the key it is for (RFC
// 8894 section 2.3): who captured an envelope cannot send it as their own. A
// device with an elliptic curve key signs with an RSA key that the answer can be
// encrypted to; its challenge is all that ties the two.
func signedByOwnKey(req request) bool {
	if _, elliptic := req.Key.(*ecdsa.PublicKey); elliptic {
		return true
	}
	signer, ok := req.signer.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && signer.Equal(req.Key)
}

// refused tells a no from a part that is out of order.
func refused(err error) bool {
	var denial *portal.Denial
	var refusal *portal.Refusal
	return errors.As(err, &denial) || errors.As(err, &refusal)
}
