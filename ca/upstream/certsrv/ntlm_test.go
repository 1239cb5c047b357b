package certsrv_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/test/standin"
	pages "certportal/internal/test/standin/certsrv"
	"certportal/internal/test/testkit"
)

func TestNTLM(t *testing.T) {
	server := pages.Start(t)
	client := newClient(t, byNTLM(t, server))
	request, key := standin.NewRequest(t)
	answer := testkit.Must(client.Submit(t.Context(), request))(t)
	testkit.NoError(t, server.Check(t, answer, key))
	testkit.NoError(t, server.Windows.Refused())
	testkit.Equal(t, "requests", server.Submits(), 1)

	c := byNTLM(t, server)
	c.Password = func() (string, error) { return "s3cret-of-the-portal", nil }
	_, err := newClient(t, c).Submit(t.Context(), request)
	testkit.Equal(t, "is about credentials", deniedBy(t, err).Credentials, true)
	testkit.Equal(t, "refused for", server.Windows.Refused().Error(), "wrong password")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error holds the password: %v", err)
	}
}

// A relay whose certificate the client trusts cannot pass the messages on (ESC8): they are
// bound to that certificate and not to the one of the server behind it.
func TestNTLMIsNotRelayed(t *testing.T) {
	server := pages.Start(t)
	c := byNTLM(t, server)
	behind, _ := server.Company.Agent(t, time.Now().Add(time.Hour)) // any other certificate
	server.Windows.Certificate = behind
	request, _ := standin.NewRequest(t)
	_, err := newClient(t, c).Submit(t.Context(), request)
	testkit.Equal(t, "is about credentials", deniedBy(t, err).Credentials, true)
	testkit.Equal(t, "refused for", server.Windows.Refused().Error(), "not bound to this server's certificate")

	server.Windows.Certificate, server.Windows.Host = server.TLS, "ca.corp.example"
	_, err = newClient(t, c).Submit(t.Context(), request)
	testkit.Equal(t, "is about credentials", deniedBy(t, err).Credentials, true)
	testkit.Equal(t, "refused for", server.Windows.Refused().Error(), "meant for another service")
	testkit.Equal(t, "requests", server.Submits(), 0)
}

// A server that lets in without sign-in, or offers no NTLM, gets no request.
func TestNTLMIsNotAskedFor(t *testing.T) {
	server := pages.Start(t)
	c := byPassword(t, server)
	c.NTLM = true
	request, _ := standin.NewRequest(t)
	_, err := newClient(t, c).Submit(t.Context(), request)
	testkit.Equal(t, "is about credentials", deniedBy(t, err).Credentials, true)

	c = byNTLM(t, server)
	server.Set(standin.Unavailable)
	server.Windows = nil
	if _, err = newClient(t, c).Submit(t.Context(), request); !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("server without sign-in: %v, want that nothing was sent", err)
	}
	testkit.Equal(t, "certificates", len(server.Issued()), 0)
}

// TestA17_WrongPasswordIsTriedOnce: a rush of people does not lock the portal's account.
func TestA17_WrongPasswordIsTriedOnce(t *testing.T) {
	server := pages.Start(t)
	request, _ := standin.NewRequest(t)
	c := byPassword(t, server)
	c.Password = func() (string, error) { return "old", nil }
	client := newClient(t, c)
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() { client.Submit(t.Context(), request) })
	}
	wait.Wait()
	testkit.Equal(t, "messages with the wrong password", server.Submits(), 1)
}
