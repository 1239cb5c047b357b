package vault_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/vault"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	standinvault "certportal/internal/test/standin/vault"
	"certportal/internal/test/testkit"
)

func logins(s *standinvault.CA) map[string]vault.Login {
	return map[string]vault.Login{
		"token":   {Token: func() (string, error) { return s.NewToken() + "\n", nil }},
		"approle": {RoleID: standinvault.RoleID, SecretID: func() (string, error) { return standinvault.SecretID + "\n", nil }},
		"cert":    {CertificateRole: standinvault.CertRole},
	}
}

func client(t *testing.T, s *standinvault.CA, timeout time.Duration, change func(*vault.Config)) *vault.CA {
	t.Helper()
	config := vault.Config{
		Wire: wire.Config{
			URL: s.URL, Anchors: []*x509.Certificate{s.TLS}, Timeout: timeout,
			Certificate: func() (*tls.Certificate, error) { return s.ClientCertificate, nil },
		},
		Role: standinvault.Role, Login: logins(s)["approle"],
	}
	if change != nil {
		change(&config)
	}
	made, err := vault.New(config)
	testkit.NoError(t, err)
	return made
}

func TestStandIn(t *testing.T) {
	for _, name := range []string{"token", "approle", "cert"} {
		t.Run(name, func(t *testing.T) {
			standin.Suite{
				New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
					s := standinvault.Start(t)
					return s.Server, client(t, s, timeout, func(c *vault.Config) { c.Login = logins(s)[name] })
				},
				Refuses: []standin.Fault{standin.Denied},
			}.Run(t)
		})
	}
}

func submit(t *testing.T, c *vault.CA) error {
	t.Helper()
	request, _ := standin.NewRequest(t)
	_, err := c.Submit(t.Context(), request)
	return err
}

func TestExpiredTokenIsReplacedByOneLogin(t *testing.T) {
	s := standinvault.Start(t)
	c := client(t, s, time.Minute, nil)
	testkit.NoError(t, submit(t, c))
	s.ExpireTokens()
	testkit.NoError(t, submit(t, c))
	if n, _ := s.Counts(); n != 2 || s.Submits() != 2 {
		t.Errorf("%d logins and %d submits, want 2 and 2", n, s.Submits())
	}
}

func TestTokenThatExpiresInTheMiddleIsNoSecondSubmit(t *testing.T) {
	s := standinvault.Start(t)
	c := client(t, s, time.Minute, nil)
	testkit.NoError(t, submit(t, c))
	s.ExpireAfterLookup(true)
	err := submit(t, c)
	var denied *upstream.Denied
	if !errors.As(err, &denied) || !denied.Credentials {
		t.Errorf("error is %v, want refused credentials", err)
	}
	if s.Submits() != 2 || len(s.Issued()) != 1 {
		t.Errorf("%d submits and %d certificates, want 2 and 1", s.Submits(), len(s.Issued()))
	}
	s.ExpireAfterLookup(false)
	testkit.NoError(t, submit(t, c)) // the next request logs in again
}

func TestRefusalIsOneLine(t *testing.T) {
	s := standinvault.Start(t)
	s.Set(standin.Unauthorized)
	denied, _ := errors.AsType[*upstream.Denied](submit(t, client(t, s, time.Minute, nil)))
	if denied == nil || denied.Text != "1 error occurred: * permission denied" {
		t.Errorf("error is %v, want its lines as one", denied)
	}
}

func TestSealedVaultGetsNoRequest(t *testing.T) {
	s := standinvault.Start(t)
	c := client(t, s, time.Minute, nil)
	testkit.NoError(t, submit(t, c))
	s.Seal(true)
	if err := submit(t, c); !errors.Is(err, upstream.ErrUnsent) || s.Submits() != 1 {
		t.Errorf("error is %v after %d submits, want ErrUnsent after 1", err, s.Submits())
	}
	if _, err := c.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("probe gives %v, want that it is sealed", err)
	}
}

func TestTokenIsRenewedAtHalfOfItsLife(t *testing.T) {
	s := standinvault.Start(t)
	token := s.NewToken()
	c := client(t, s, time.Minute, func(c *vault.Config) {
		c.Login = vault.Login{Token: func() (string, error) { return token, nil }}
	})
	testkit.NoError(t, submit(t, c))
	s.SetTTL(1000)
	testkit.NoError(t, submit(t, c))
	testkit.NoError(t, submit(t, c))
	if _, renewals := s.Counts(); renewals != 1 {
		t.Errorf("%d renewals, want 1", renewals)
	}
}

func TestConcurrentRequestsShareALogin(t *testing.T) {
	s := standinvault.Start(t)
	c := client(t, s, time.Minute, nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := c.Probe(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n, _ := s.Counts(); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestWaitForAnotherLoginEndsWithTheRequest(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	}))
	t.Cleanup(server.Close)
	c := testkit.Must(vault.New(vault.Config{
		Wire: wire.Config{URL: server.URL, Anchors: []*x509.Certificate{server.Certificate()}}, Role: "r", Login: vault.Login{
			RoleID: "r", SecretID: func() (string, error) { return "s", nil },
		},
	}))(t)
	request, _ := standin.NewRequest(t)
	var group sync.WaitGroup
	group.Go(func() { c.Submit(t.Context(), request) })
	<-asked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Submit(ended, request); !errors.Is(err, context.Canceled) || !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("error is %v, want that nothing was sent", err)
	}
	close(answer)
	group.Wait()
}

func TestWrongLoginIsRefusedCredentials(t *testing.T) {
	s := standinvault.Start(t)
	for name, login := range map[string]vault.Login{
		"token":   {Token: func() (string, error) { return "hvs.very-secret", nil }},
		"approle": {RoleID: standinvault.RoleID, SecretID: func() (string, error) { return "very-secret", nil }},
		"cert":    {CertificateRole: "other"},
	} {
		err := submit(t, client(t, s, time.Minute, func(c *vault.Config) { c.Login = login }))
		var denied *upstream.Denied
		if !errors.As(err, &denied) || !denied.Credentials || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%s: error is %v, want refused credentials without the secret", name, err)
		}
	}
	if s.Submits() != 0 {
		t.Errorf("%d submits, want 0", s.Submits())
	}
}

func TestTokenThatIsNoneIsNotSent(t *testing.T) {
	s := standinvault.Start(t)
	for _, token := range []string{"", "\n", "a b", "a\r\nX-Evil: 1", "é"} {
		c := client(t, s, time.Minute, func(c *vault.Config) {
			c.Login = vault.Login{Token: func() (string, error) { return token, nil }}
		})
		if err := submit(t, c); !errors.Is(err, upstream.ErrUnsent) || len(s.Calls()) != 0 {
			t.Errorf("%q: error is %v after %d calls", token, err, len(s.Calls()))
		}
	}
}

func TestByRoleSendsTheNames(t *testing.T) {
	s := standinvault.Start(t)
	c := client(t, s, time.Minute, func(c *vault.Config) { c.ByRole = true })
	testkit.NoError(t, submit(t, c))
	person := standin.Person()
	want := "sign " + person.UPN + " " + person.Mail + " 1.3.6.1.4.1.311.20.2.3;utf8:" + person.UPN + " tag:microsoft.com,2022-09-14:sid:" + person.SID
	if got := s.Signed(); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	person.UPN = "a;utf8:admin,b@corp.example"
	request, _ := standin.NewRequest(t)
	request.Subject = person
	if _, err := c.Submit(t.Context(), request); !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("error is %v for a name with separators, want ErrUnsent", err)
	}
}

func TestProbeSaysThatThePolicyIsMissing(t *testing.T) {
	s := standinvault.Start(t)
	_, err := client(t, s, time.Minute, func(c *vault.Config) { c.Role = "other" }).Probe(t.Context())
	var denied *upstream.Denied
	if !errors.As(err, &denied) || !denied.Credentials {
		t.Errorf("error is %v, want refused credentials", err)
	}
}

func TestNewRefusesIncompleteSettings(t *testing.T) {
	text := func() (string, error) { return "", nil }
	for name, config := range map[string]vault.Config{
		"role":     {Login: vault.Login{Token: text}},
		"no-login": {Role: "r"},
		"two":      {Role: "r", Login: vault.Login{Token: text, CertificateRole: "c"}},
		"role-id":  {Role: "r", Login: vault.Login{SecretID: text}},
	} {
		config.Wire.URL = "https://vault.example:8200"
		if _, err := vault.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
