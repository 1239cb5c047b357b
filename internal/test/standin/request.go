package standin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
)

// Person is the subject of the requests of [NewRequest].
func Person() ca.Subject {
	return ca.Subject{UPN: "anna@corp.example", Mail: "anna.meyer@corp.example", SID: "S-1-5-21-1004336348-1177238915-682003330-1105", Name: "Anna Meyer"}
}

// Profile is that of the requests of [NewRequest].
func Profile(t testing.TB) *ca.Profile {
	t.Helper()
	profile, err := ca.NewProfile(ca.ProfileConfig{Name: "User", Validity: Validity, RequireSID: true})
	if err != nil {
		t.Fatalf("making profile: %v", err)
	}
	return profile
}

// NewRequest makes a request for a certificate, with a key of its own on the curve P-256,
// because RSA keys take long to make.
func NewRequest(t testing.TB) (upstream.Request, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making key: %v", err)
	}
	return RequestFor(t, Person(), key), key
}

// RequestFor is [NewRequest] for another person or key.
func RequestFor(t testing.TB, person ca.Subject, key crypto.Signer) upstream.Request {
	t.Helper()
	csr, err := Profile(t).CertificateRequest(person, key)
	if err != nil {
		t.Fatalf("making request: %v", err)
	}
	return upstream.Request{Number: "42", CSR: csr, Subject: person, Login: `CORP\anna`, Validity: Validity}
}

// Check compares an answer with its request as the portal does. The trust anchor is the
// last of the chain.
func (s *Server) Check(t testing.TB, answer upstream.Answer, key crypto.Signer) error {
	t.Helper()
	return ca.Foreign{
		Profile: Profile(t), Subject: Person(), Key: key.Public(),
		Anchors: s.Chain[len(s.Chain)-1:], Intermediates: answer.Chain,
	}.Check(answer.Certificate, time.Now())
}
