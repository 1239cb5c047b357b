package adcs_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/internal/test/standin"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
)

// pairOf are two web services of one CA as far as the client can see: the second takes the
// client certificates and agents of the first.
type pairOf struct {
	first, second *ces.CA
	client        *adcs.Client
	later         time.Duration // added to the clock of the client
}

func newPair(t *testing.T) *pairOf {
	t.Helper()
	p := &pairOf{first: ces.Start(t)}
	p.second = ces.StartBeside(t, p.first)
	c := byCertificate(t, p.first)
	c.Wire.Anchors = []*x509.Certificate{p.first.TLS, p.second.TLS}
	c.Further = []string{p.second.CertificateURL()}
	c.Now = func() time.Time { return time.Now().Add(p.later) }
	p.client = newClient(t, c)
	return p
}

func (p *pairOf) submit(t *testing.T) (upstream.Answer, error) {
	t.Helper()
	request, _ := standin.NewRequest(t)
	return p.client.Submit(t.Context(), request)
}

// A request goes to the next address only when the one before cannot have received it. What
// happens behind the first byte of the body leads to no second request.
func TestF13_RequestGoesToOneAddress(t *testing.T) {
	p := newPair(t)
	if _, err := p.submit(t); err != nil || p.first.Submits() != 1 || p.second.Submits() != 0 {
		t.Errorf("both answer: %v, %d and %d requests", err, p.first.Submits(), p.second.Submits())
	}
	for _, fault := range append(standin.AfterIssuing(), standin.Unavailable, standin.Denied, standin.Unauthorized, standin.ToOtherHost, standin.Pending) {
		p := newPair(t)
		p.first.Set(fault)
		answer, err := p.submit(t)
		if got := p.first.Submits(); got != 1 {
			t.Errorf("%s: %d requests at the first", fault, got)
		}
		if p.second.Submits() != 0 || len(p.second.Issued()) != 0 {
			t.Errorf("%s: the request was repeated at the second", fault)
		}
		if errors.Is(err, upstream.ErrUnsent) || fault != standin.Pending && err == nil {
			t.Errorf("%s: %+v, error %v", fault, answer, err)
		}
	}
}

// An outcome that is unknown at the second address stays unknown, though the first was not
// reached.
func TestF13_UnknownAtTheSecondAddress(t *testing.T) {
	for _, fault := range standin.AfterIssuing() {
		p := newPair(t)
		p.first.Stop()
		p.second.Set(fault)
		_, err := p.submit(t)
		wantUnknown(t, err)
		if p.second.Submits() != 1 {
			t.Errorf("%s: %d requests at the second", fault, p.second.Submits())
		}
	}
}

// With a dead address requests go to the next, which is asked first for a while; then the
// dead one is tried again.
func TestDeadAddress(t *testing.T) {
	p := newPair(t)
	again := p.first.Stop()
	for n := range 3 {
		if _, err := p.submit(t); err != nil || p.second.Submits() != n+1 {
			t.Fatalf("request %d: %v, %d requests at the second", n, err, p.second.Submits())
		}
	}
	again(t)
	if _, err := p.submit(t); err != nil || p.first.Submits() != 0 {
		t.Errorf("the dead address is asked at once: %v", err)
	}
	p.later = 2 * time.Minute
	if _, err := p.submit(t); err != nil || p.first.Submits() != 1 {
		t.Errorf("the address that is back is not asked: %v", err)
	}
	p.first.Stop()
	p.second.Stop()
	if _, err := p.submit(t); !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("both are dead: %v", err)
	}
}

// A question about a request that waits goes to any address, and what the CA says about it
// counts at once.
func TestPollGoesToAnyAddress(t *testing.T) {
	p := newPair(t)
	p.first.Set(standin.Pending)
	answer, err := p.submit(t)
	testkit.NoError(t, err)
	testkit.NoError(t, p.first.Approve(answer.ID))
	for _, fault := range []standin.Fault{standin.Cut, standin.ServerError, standin.Unavailable, standin.Unauthorized} {
		p.second.Set(standin.None)
		p.first.Set(fault)
		asked := len(p.second.Calls())
		// The second does not know the number: that it was asked is what counts.
		_, err := p.client.Poll(t.Context(), answer.ID)
		if len(p.second.Calls()) != asked+1 {
			t.Errorf("%s: the second was not asked: %v", fault, err)
		}
		if errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%s: %v", fault, err)
		}
	}
	p.first.Set(standin.None)
	asked := len(p.second.Calls())
	if done, err := p.client.Poll(t.Context(), answer.ID); err != nil || done.Pending() {
		t.Errorf("poll: %+v, %v", done, err)
	}
	testkit.NoError(t, p.first.Deny(answer.ID, 0x80094014))
	_, err = p.client.Poll(t.Context(), answer.ID)
	deniedBy(t, err)
	if len(p.second.Calls()) != asked {
		t.Error("the second was asked though the CA answered")
	}
	if p.second.Submits() != 0 {
		t.Error("a poll made a request")
	}
}

// The check asks each address, and distinguishes a spare that is gone from a CA that is.
func TestProbeAsksEachAddress(t *testing.T) {
	p := newPair(t)
	_, err := p.client.Probe(t.Context())
	testkit.NoError(t, err)
	if slices.Contains([]int{len(p.first.Calls()), len(p.second.Calls())}, 0) {
		t.Error("an address was not asked")
	}
	p.second.Stop()
	if _, err := p.client.Probe(t.Context()); !errors.Is(err, upstream.ErrSpare) || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("one is dead: %v", err)
	}
	p.first.Stop()
	if _, err := p.client.Probe(t.Context()); err == nil || errors.Is(err, upstream.ErrSpare) {
		t.Errorf("both are dead: %v", err)
	}
	if p.first.Submits()+p.second.Submits() != 0 {
		t.Error("the check made a request")
	}
}
