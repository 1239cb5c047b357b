package standin

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
)

// Suite proves what holds for the client of every protocol.
type Suite struct {
	// New starts a stand-in and makes a client for it with this timeout.
	New func(t *testing.T, timeout time.Duration) (*Server, upstream.CA)

	// Refuses lists the faults that the protocol answers with a denial.
	Refuses []Fault

	// NoChain says that the protocol cannot name the certificates of the CA.
	NoChain bool
}

// Run runs the suite.
func (s Suite) Run(t *testing.T) {
	t.Run("issued", s.issued)
	t.Run("certificate-differs", s.differs)
	t.Run("outcome-unknown", s.unknown)
	t.Run("denied", s.denied)
	t.Run("probe-issues-nothing", s.probe)
	t.Run("not-reached", s.unreached)
	t.Run("answered-twice", s.twice)
}

// rounds is how often each fault is tried: 100 times in long tests (scripts/test long).
func rounds() int {
	if os.Getenv("CERTPORTAL_LONG") != "" {
		return 100
	}
	return 1
}

func (s Suite) issued(t *testing.T) {
	server, client := s.New(t, time.Minute)
	request, key := NewRequest(t)
	answer, err := client.Submit(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Check(t, answer, key); err != nil {
		t.Error(err)
	}
	if server.Submits() != 1 || len(server.Issued()) != 1 {
		t.Errorf("%d requests arrived and %d certificates were issued, want 1 and 1", server.Submits(), len(server.Issued()))
	}
	if err := client.Revoke(t.Context(), upstream.Revocation{Certificate: answer.Certificate, Reason: 1}); err != nil && !errors.Is(err, upstream.ErrUnsupported) {
		t.Errorf("revoking: %v", err)
	}
	if err := client.Revoke(t.Context(), upstream.Revocation{Certificate: answer.Certificate, Reason: 1}); err != nil && !errors.Is(err, upstream.ErrUnsupported) {
		t.Errorf("revoking a second time: %v", err)
	}
}

// differs shows that the client hands on what came, and that the seam's comparison then
// refuses it.
func (s Suite) differs(t *testing.T) {
	server, client := s.New(t, time.Minute)
	for _, wrong := range Wrongs() {
		request, key := NewRequest(t)
		server.SetWrong(wrong)
		answer, err := client.Submit(t.Context(), request)
		if err != nil {
			t.Errorf("%s: %v", wrong, err)
			continue
		}
		var refused *ca.ForeignError
		if err := server.Check(t, answer, key); !errors.As(err, &refused) {
			t.Errorf("%s: comparison gives %v, want a ForeignError", wrong, err)
		}
	}
}

func (s Suite) unknown(t *testing.T) {
	for _, fault := range append(AfterIssuing(), Unavailable) {
		for range rounds() {
			server, client := s.New(t, time.Minute)
			server.Set(fault)
			request, _ := NewRequest(t)
			_, err := client.Submit(t.Context(), request)
			checkUnknown(t, fault, server, err)
			server.server.Close()
		}
	}
	for range rounds() {
		server, client := s.New(t, time.Minute)
		server.Set(Slow)
		request, _ := NewRequest(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // the client gives up after the certificate was issued
			server.awaitIssued()
			cancel()
		}()
		_, err := client.Submit(ctx, request)
		checkUnknown(t, Slow, server, err)
		server.server.Close()
	}
}

// twice shows that a second answer is not read.
func (s Suite) twice(t *testing.T) {
	server, client := s.New(t, time.Minute)
	server.Set(Twice)
	request, key := NewRequest(t)
	answer, err := client.Submit(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Check(t, answer, key); err != nil || server.Submits() != 1 {
		t.Errorf("%v after %d requests, want a right certificate after 1", err, server.Submits())
	}
}

func checkUnknown(t *testing.T, fault Fault, server *Server, err error) {
	t.Helper()
	var denied *upstream.Denied
	if err == nil || errors.As(err, &denied) || errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("%s: error is %v, want one of an unknown outcome", fault, err)
	}
	if server.Submits() != 1 {
		t.Errorf("%s: %d requests arrived, want 1", fault, server.Submits())
	}
}

func (s Suite) denied(t *testing.T) {
	for _, fault := range append([]Fault{ToHTTP, ToOtherHost, Unauthorized}, s.Refuses...) {
		server, client := s.New(t, time.Minute)
		server.Set(fault)
		request, _ := NewRequest(t)
		_, err := client.Submit(t.Context(), request)
		var denied *upstream.Denied
		if !errors.As(err, &denied) || denied.Code == "" {
			t.Errorf("%s: error is %v, want a Denied with a code", fault, err)
			continue
		}
		if denied.Credentials != (fault == Unauthorized) {
			t.Errorf("%s: Credentials is %v", fault, denied.Credentials)
		}
		if server.Submits() != 1 || len(server.Issued()) != 0 {
			t.Errorf("%s: %d requests arrived and %d certificates were issued, want 1 and 0", fault, server.Submits(), len(server.Issued()))
		}
	}
}

func (s Suite) probe(t *testing.T) {
	server, client := s.New(t, time.Minute)
	certs, err := client.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(certs) == 0 && !s.NoChain || server.Submits() != 0 {
		t.Errorf("probe gives %d certificates and sent %d requests, want some and 0", len(certs), server.Submits())
	}
}

func (s Suite) unreached(t *testing.T) {
	server, client := s.New(t, time.Minute)
	server.server.Close()
	request, _ := NewRequest(t)
	if _, err := client.Submit(t.Context(), request); !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("error is %v, want ErrUnsent", err)
	}
}
