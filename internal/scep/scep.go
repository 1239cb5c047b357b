// Package scep is a server for the Simple Certificate Enrolment Protocol (RFC 8894),
// with which devices generate their own key and request a certificate. It runs over
// http and https alike, because every message is signed and encrypted itself.
//
// An enrolment (PKCSReq) needs a one-time challenge from a profile that the portal
// issued. A renewal (RenewalReq) must be signed with a certificate that the store holds
// byte for byte. Every other message type is answered with badRequest. From a request
// the server uses only the public key, with the proof of possession; the registrar
// decides the subject and the usages of the certificate.
//
// The registration authority (RA), to which devices encrypt and which signs the
// responses, has a certificate and an RSA key of its own. The key of the CA decrypts
// nothing and signs no message.
//
// The server accepts only AES in CBC mode and SHA-2, so neither SHA-1 nor DES: clients
// without them date from before 2016. It refuses PKIOperation by GET, because only a
// POST changes anything. It does not implement GetCert, GetCRL and polling; no request
// is ever pending.
//
// Clients send BER although the standard requires DER. Messages are limited in size and
// depth, and converted to DER before anything else parses them (RFC 5652).
package scep

import (
	"crypto"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// Path is the path of the server, below either address of the portal.
const Path = "/scep"

// MaxBody limits a message, in bytes.
const MaxBody = 64 << 10

// Config configures a Server. Fields are required unless they say otherwise.
type Config struct {
	Registrar *enroll.Registrar

	// Actor returns the address and request ID of a request.
	Actor func(*http.Request) portal.Actor

	// Store holds the certificates and encrypted keys of the RAs.
	Store Store

	// Issuer issues the RA's certificate. Optional while the CA is sealed: an existing
	// RA works until it expires, and no certificates are issued anyway.
	Issuer *enroll.OwnIssuer

	// RA configures the RA's certificate. Name and Validity are optional.
	RA ca.RAConfig

	// Encrypt and Decrypt protect the RA's key in the store, for example with ca.EncryptKey
	// and ca.DecryptKey under the passphrase of the CA. Replicas share the passphrase.
	Encrypt func(crypto.Signer) ([]byte, error)
	Decrypt func([]byte) (crypto.Signer, error)

	Now func() time.Time // optional, default time.Now
	Log *slog.Logger     // optional, default slog.Default()
}

// Server is an http.Handler for SCEP. It is safe for concurrent use. Call Refresh before
// the first request and then every hour, and Reload every minute.
type Server struct {
	c    Config
	ras  raSet
	busy chan struct{} // semaphore of the messages in progress
}

// New checks the configuration. It creates no RA: Refresh does.
func New(c Config) (*Server, error) {
	if c.Registrar == nil || c.Actor == nil || c.Store == nil || c.Encrypt == nil || c.Decrypt == nil {
		return nil, errors.New("scep: a required part is missing")
	}
	if c.RA.Name == "" {
		c.RA.Name = "Certificate enrolment"
	}
	if c.RA.Validity == 0 {
		c.RA.Validity = raValidity
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	// A message takes some milliseconds of CPU. A higher concurrency would only slow
	// down all of them, and the pages too.
	return &Server{c: c, ras: newRASet(), busy: make(chan struct{}, 4*runtime.GOMAXPROCS(0))}, nil
}
