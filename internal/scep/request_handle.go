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

// Reasons in the audit log for messages refused before a person was identified. They are
// a public contract: add, do not rename.
const (
	deniedType      = "message-type"
	deniedSignature = "message-signature"
	deniedAlgorithm = "message-algorithm"
	deniedEnvelope  = "message-envelope" // cannot be decrypted, or has no valid request
	deniedSigner    = "message-signer"   // not signed by the key of the request
)

// request is a decrypted message, with the cipher for the response.
type request struct {
	message
	enroll.KeyRequest
	cipher asn1.ObjectIdentifier
}

// handle returns the response to a message. It returns errMalformed when no SCEP response
// is possible, errNoRA or errNoKey without an RA, and a *portal.Outage when a part of the portal was unavailable.
func (s *Server) handle(ctx context.Context, by portal.Actor, raw []byte) ([]byte, error) {
	announced, err := s.announced()
	if err != nil {
		return nil, err
	}
	m, err := parseMessage(raw)
	switch {
	case errors.Is(err, errAlgorithm):
		return s.deny(ctx, by, announced, m, wire.BadAlg, deniedAlgorithm)
	case errors.Is(err, errSignature):
		return s.deny(ctx, by, announced, m, wire.BadMessageCheck, deniedSignature)
	case err != nil:
		return nil, err
	}
	// The type is checked against a list before decryption, so that no unknown type gets
	// past the rules (CVE-2026-30836).
	var issue func(context.Context, portal.Actor, request) (*x509.Certificate, error)
	switch m.kind {
	case wire.PKCSReq:
		issue = s.enroll
	case wire.RenewalReq:
		issue = s.renew
	default:
		return s.deny(ctx, by, announced, m, wire.BadRequest, deniedType)
	}
	req, ra, err := s.open(ctx, m)
	switch {
	case errors.Is(err, errAlgorithm):
		return s.deny(ctx, by, announced, m, wire.BadAlg, deniedAlgorithm)
	case errors.Is(err, errEnvelope):
		s.c.Log.Info("SCEP message cannot be decrypted", "request", by.Request, "address", by.Address)
		return s.deny(ctx, by, announced, m, wire.BadRequest, deniedEnvelope)
	case err != nil:
		return nil, err
	}
	cert, err := issue(ctx, by, req)
	if refused(err) {
		s.c.Log.Info("SCEP request refused", "request", by.Request, "address", by.Address, "type", m.name(), "err", err)
		return ra.failure(m, wire.BadRequest)
	}
	if err != nil {
		return nil, err
	}
	return ra.success(m, req.cipher, cert)
}

// deny records a refusal and returns the failure response. Of the message only its type
// is recorded, never text that the sender chose.
func (s *Server) deny(ctx context.Context, by portal.Actor, ra *registrationAuthority, m message, info wire.FailInfo, why string) ([]byte, error) {
	s.c.Registrar.NoteDenied(ctx, by, "message", why, map[string]string{"type": m.name()})
	return ra.failure(m, info)
}

// open decrypts the envelope and parses the request in it. The error is errAlgorithm,
// which is visible from the outside, or else errEnvelope for every cause: the sender
// must not learn what is wrong with the plaintext. Other errors say that the RA was not
// available: nothing was decrypted.
func (s *Server) open(ctx context.Context, m message) (request, *registrationAuthority, error) {
	e, err := parseEnvelope(m.content)
	if err != nil {
		return request{}, nil, err
	}
	ra, recipient, err := s.recipient(ctx, e)
	if err != nil {
		return request{}, nil, err
	}
	plain, err := e.open(recipient, ra.key)
	if err != nil {
		return request{}, nil, err
	}
	key, err := enroll.ParseKeyRequest(plain)
	if err != nil {
		s.c.Log.Info("request in a SCEP message refused", "err", err)
		return request{}, nil, errEnvelope
	}
	return request{message: m, KeyRequest: key, cipher: e.cipher}, ra, nil
}

// enroll handles PKCSReq.
func (s *Server) enroll(ctx context.Context, by portal.Actor, req request) (*x509.Certificate, error) {
	if !signedByOwnKey(req) {
		s.c.Registrar.NoteDenied(ctx, by, "message", deniedSigner, map[string]string{"type": req.name()})
		return nil, &portal.Denial{Why: deniedSigner}
	}
	return s.c.Registrar.Redeem(ctx, by, req.Challenge, req.Key)
}

// renew handles RenewalReq. It ignores a challenge.
func (s *Server) renew(ctx context.Context, by portal.Actor, req request) (*x509.Certificate, error) {
	return s.c.Registrar.Renew(ctx, by, req.signer, req.Key)
}

// signedByOwnKey reports whether an enrolment is signed with the key it requests a
// certificate for (RFC 8894 section 2.3), so that a captured envelope cannot be sent by
// another party. A device with an elliptic curve key signs with a separate RSA key, to
// which the response can be encrypted; only the challenge connects the two.
func signedByOwnKey(req request) bool {
	if _, elliptic := req.Key.(*ecdsa.PublicKey); elliptic {
		return true
	}
	signer, ok := req.signer.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && signer.Equal(req.Key)
}

// refused reports whether an error is a decision, and not an outage.
func refused(err error) bool {
	var denial *portal.Denial
	var refusal *portal.Refusal
	return errors.As(err, &denial) || errors.As(err, &refusal)
}
