// Package scep answers devices that make their own key and ask for a certificate
// with the Simple Certificate Enrolment Protocol (RFC 8894), over plain http and
// https alike: every message is signed and encrypted in itself.
//
// It serves only who the portal sent. A first request (PKCSReq) needs a one-time
// challenge out of a profile, the next one (RenewalReq) the certificate that the
// store holds byte for byte. Everything else, every other type of message
// included, is answered with badRequest. Of a request only the public key is
// taken, with the proof that the device holds its other half; whom the
// certificate names and what it is good for, the registrar decides.
//
// The agent that devices encrypt to and that signs the answers has a certificate
// and an RSA key of its own. The key of the CA decrypts nothing and signs no
// message.
//
// Refused are SHA-1, DES and whatever else is not AES in CBC mode and SHA-2:
// clients that know no better are from before 2016. Also refused is PKIOperation
// by GET: only a POST changes anything. GetCert, GetCRL and polling are not
// served; nothing here is ever pending.
//
// Messages are BER by people's custom and DER by the standard: they are bounded
// in size and depth and made DER before anything else reads them (RFC 5652).
package scep

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// Path is where devices ask, below either address of the portal.
const Path = "/scep"

// MaxBody is the longest message that is read, in bytes.
const MaxBody = 64 << 10

// Config is what a Server works with. Fields are required unless they say
// otherwise.
type Config struct {
	Registrar *enroll.Registrar

	// By says who asks: the address and request id of a request.
	By func(*http.Request) portal.Actor

	// Agents stores the agent's encrypted key.
	Agents Agents

	// Issuer issues the agent's certificate. Optional while the CA is sealed: an
	// agent that is there goes on until its end, and nothing is issued anyway.
	Issuer *enroll.OwnIssuer

	// Agent describes its certificate; Name and Validity may be left out.
	Agent ca.RAConfig

	// Seal and Open guard the agent's key in the store, such as with ca.SealKey
	// and ca.OpenKey and the passphrase of the CA. Replicas share both.
	Seal Seal
	Open Open

	Now func() time.Time // optional, default time.Now
	Log *slog.Logger     // optional, default slog.Default()
}

// Server answers devices. It is safe for concurrent use. Call Refresh before the
// first request and then every hour.
type Server struct {
	c      Config
	agents agents
	busy   chan struct{} // one token for each message under way
}

// New checks the configuration. It makes no agent: Refresh does.
func New(c Config) (*Server, error) {
	if c.Registrar == nil || c.By == nil || c.Agents == nil || c.Seal == nil || c.Open == nil {
		return nil, errors.New("scep: a required part is missing")
	}
	if c.Agent.Name == "" {
		c.Agent.Name = "Certificate enrolment"
	}
	if c.Agent.Validity == 0 {
		c.Agent.Validity = agentLife
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	// A message costs some milliseconds of a core, whoever sends it. More at a time
	// would only make all of them slower, and the pages with them.
	return &Server{c: c, busy: make(chan struct{}, 4*runtime.GOMAXPROCS(0))}, nil
}
