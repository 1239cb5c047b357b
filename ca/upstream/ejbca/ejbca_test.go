package ejbca_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/ejbca"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	standinejbca "certportal/internal/test/standin/ejbca"
	"certportal/internal/test/testkit"
)

const secret = "0123456789abcdef0123456789abcdef"

func client(t *testing.T, s *standinejbca.CA, timeout time.Duration, change func(*ejbca.Config)) *ejbca.CA {
	t.Helper()
	config := ejbca.Config{
		Wire: wire.Config{
			URL: s.URL, Anchors: []*x509.Certificate{s.TLS}, Timeout: timeout,
			Certificate: func() (*tls.Certificate, error) { return s.ClientCertificate, nil },
		},
		Authority: standinejbca.Authority, CertificateProfile: standinejbca.Profile, EndEntityProfile: standinejbca.EndEntity,
		Secret: func() (string, error) { return secret + "\n", nil },
	}
	if change != nil {
		change(&config)
	}
	made, err := ejbca.New(config)
	testkit.NoError(t, err)
	return made
}

func TestStandIn(t *testing.T) {
	for _, twice := range []bool{false, true} {
		t.Run(fmt.Sprintf("base64-twice=%t", twice), func(t *testing.T) {
			standin.Suite{
				New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
					s := standinejbca.Start(t)
					s.SetTwice(twice)
					return s.Server, client(t, s, timeout, nil)
				},
				Refuses: []standin.Fault{standin.Denied},
			}.Run(t)
		})
	}
}

// waiting submits a request that waits.
func waiting(t *testing.T, s *standinejbca.CA, c *ejbca.CA) upstream.Answer {
	t.Helper()
	s.Set(standin.Pending)
	request, _ := standin.NewRequest(t)
	answer, err := c.Submit(t.Context(), request)
	testkit.NoError(t, err)
	if !answer.Pending() || answer.ID != "1 certportal-42" {
		t.Fatalf("answer is %+v, want one that waits", answer)
	}
	again, err := c.Poll(t.Context(), answer.ID)
	testkit.NoError(t, err)
	if !again.Pending() || again.ID != answer.ID {
		t.Fatalf("poll gives %+v, want the same", again)
	}
	return answer
}

func TestApprovedRequestIsFetched(t *testing.T) {
	s := standinejbca.Start(t)
	c := client(t, s, time.Minute, nil)
	answer := waiting(t, s, c)
	s.Decide(true)
	s.Set(standin.None)
	issued, err := c.Poll(t.Context(), answer.ID)
	testkit.NoError(t, err)
	if issued.Pending() || s.Submits() != 1 || len(s.Issued()) != 1 {
		t.Errorf("%d submits and %d certificates, want 1 and 1", s.Submits(), len(s.Issued()))
	}
}

func TestRejectedRequestIsDenied(t *testing.T) {
	s := standinejbca.Start(t)
	c := client(t, s, time.Minute, nil)
	answer := waiting(t, s, c)
	s.Decide(false)
	_, err := c.Poll(t.Context(), answer.ID)
	var denied *upstream.Denied
	if !errors.As(err, &denied) || denied.Credentials || !strings.Contains(denied.Text, "rejected") {
		t.Errorf("error is %v, want a Denied", err)
	}
}

func TestLostAnswerToAPollIsFoundAgain(t *testing.T) {
	for _, fault := range standin.AfterIssuing() {
		s := standinejbca.Start(t)
		c := client(t, s, time.Minute, nil)
		answer := waiting(t, s, c)
		s.Decide(true)
		s.Set(fault)
		var denied *upstream.Denied
		if _, err := c.Poll(t.Context(), answer.ID); err == nil || errors.As(err, &denied) {
			t.Errorf("%s: error is %v, want one of an unknown outcome", fault, err)
		}
		s.Set(standin.None)
		found, err := c.Poll(t.Context(), answer.ID)
		if err != nil || found.Certificate == nil || !found.Certificate.Equal(s.Issued()[0]) || len(s.Issued()) != 1 {
			t.Errorf("%s: %v, %d certificates, want the one that was issued", fault, err, len(s.Issued()))
		}
		s.SetCommunity(true)
		if _, err := c.Poll(t.Context(), answer.ID); err == nil || errors.As(err, &denied) {
			t.Errorf("%s without search: error is %v, want one of an unknown outcome", fault, err)
		}
	}
}

// A poll that EJBCA did not answer leaves the request as it is, and no answer that could come
// from another server ends it.
func TestPollThroughAProxyInMaintenance(t *testing.T) {
	s := standinejbca.Start(t)
	for status, want := range map[int]bool{302: true, 404: true, 429: true, 503: true, 500: false, 502: false, 400: false} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(server.Close)
		c := client(t, s, time.Minute, func(c *ejbca.Config) {
			c.Wire.URL, c.Wire.Anchors = server.URL, []*x509.Certificate{server.Certificate()}
		})
		_, err := c.Poll(t.Context(), "1 certportal-42")
		var denied *upstream.Denied
		if err == nil || errors.As(err, &denied) || errors.Is(err, upstream.ErrUnsent) != want {
			t.Errorf("status %d: %v, want that nothing is known %v", status, err, want)
		}
	}
}

// The secret is needed for each poll. A file that cannot be read for a moment must not count as
// an answer that was lost, after which a poll is not repeated.
func TestPollWithoutSecretIsUnsent(t *testing.T) {
	c := client(t, standinejbca.Start(t), time.Minute, func(c *ejbca.Config) {
		c.Secret = func() (string, error) { return "", errors.New("no such file") }
	})
	if _, err := c.Poll(t.Context(), "1 certportal-42"); !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("error is %v, want ErrUnsent", err)
	}
}

func TestFindGivesWhatWasIssued(t *testing.T) {
	s := standinejbca.Start(t)
	c := client(t, s, time.Minute, nil)
	request, _ := standin.NewRequest(t)
	if certs, err := c.Find(t.Context(), request); err != nil || len(certs) != 0 {
		t.Errorf("%d certificates and %v before the request, want none", len(certs), err)
	}
	s.Set(standin.Cut)
	if _, err := c.Submit(t.Context(), request); err == nil {
		t.Error("a cut answer is accepted")
	}
	if certs, err := c.Find(t.Context(), request); err != nil || len(certs) != 1 || !certs[0].Equal(s.Issued()[0]) {
		t.Errorf("%d certificates and %v, want the one that was issued", len(certs), err)
	}
	s.SetCommunity(true)
	if _, err := c.Find(t.Context(), request); !errors.Is(err, upstream.ErrUnsupported) {
		t.Errorf("error is %v, want ErrUnsupported", err)
	}
}

func TestRevocation(t *testing.T) {
	s := standinejbca.Start(t)
	c := client(t, s, time.Minute, nil)
	request, _ := standin.NewRequest(t)
	answer, err := c.Submit(t.Context(), request)
	testkit.NoError(t, err)
	s.SetRevocationApproval(true)
	if err := c.Revoke(t.Context(), upstream.Revocation{Certificate: answer.Certificate}); err == nil {
		t.Error("a revocation that waits counts as done")
	}
	s.SetRevocationApproval(false)
	if err := c.Revoke(t.Context(), upstream.Revocation{Certificate: answer.Certificate, Reason: 8}); err == nil {
		t.Error("a hold is lifted")
	}
	testkit.NoError(t, c.Revoke(t.Context(), upstream.Revocation{Certificate: answer.Certificate, Reason: 4}))
	if got := s.Reason(fmt.Sprintf("%x", answer.Certificate.SerialNumber)); got != "SUPERSEDED" {
		t.Errorf("reason is %q, want SUPERSEDED", got)
	}
}

func TestProbeSaysThatTheCAIsMissing(t *testing.T) {
	s := standinejbca.Start(t)
	_, err := client(t, s, time.Minute, func(c *ejbca.Config) { c.Authority = "Other" }).Probe(t.Context())
	var denied *upstream.Denied
	if !errors.As(err, &denied) || !denied.Credentials {
		t.Errorf("error is %v, want refused credentials", err)
	}
}

func TestNothingIsSentWithoutSecretOrNumber(t *testing.T) {
	s := standinejbca.Start(t)
	for name, change := range map[string]func(*ejbca.Config, *upstream.Request){
		"unreadable": func(c *ejbca.Config, _ *upstream.Request) {
			c.Secret = func() (string, error) { return "", errors.New("no such file") }
		},
		"short": func(c *ejbca.Config, _ *upstream.Request) {
			c.Secret = func() (string, error) { return "short-secret", nil }
		},
		"no-number": func(_ *ejbca.Config, r *upstream.Request) { r.Number = "" },
		"slash":     func(_ *ejbca.Config, r *upstream.Request) { r.Number = "../1" },
	} {
		request, _ := standin.NewRequest(t)
		_, err := client(t, s, time.Minute, func(c *ejbca.Config) { change(c, &request) }).Submit(t.Context(), request)
		if !errors.Is(err, upstream.ErrUnsent) || strings.Contains(err.Error(), "short-secret") {
			t.Errorf("%s: error is %v, want ErrUnsent without the secret", name, err)
		}
	}
	for _, id := range []string{"", "1", "x certportal-42", "../1 certportal-42"} {
		if _, err := client(t, s, time.Minute, nil).Poll(t.Context(), id); err == nil {
			t.Errorf("id %q is accepted", id)
		}
	}
	if len(s.Calls()) != 0 {
		t.Errorf("%d calls, want none", len(s.Calls()))
	}
}
