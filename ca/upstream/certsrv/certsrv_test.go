package certsrv_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/ca/upstream/certsrv"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	directory "certportal/internal/test/standin/adcs"
	pages "certportal/internal/test/standin/certsrv"
	"certportal/internal/test/testkit"
)

// byCertificate gives the settings for a client certificate and an agent.
func byCertificate(t *testing.T, server *pages.CA) certsrv.Config {
	t.Helper()
	cert, key := server.Company.Agent(t, time.Now().Add(time.Hour))
	return certsrv.Config{
		Wire:     wire.Config{URL: server.FolderURL(), Anchors: []*x509.Certificate{server.TLS}, Certificate: server.ClientCertificate(t)},
		Template: "User",
		Agent:    func() (*adcs.Agent, error) { return &adcs.Agent{Certificate: cert, Key: key}, nil },
	}
}

// byPassword gives the settings for a user name and password.
func byPassword(t *testing.T, server *pages.CA) certsrv.Config {
	t.Helper()
	c := byCertificate(t, server)
	c.Wire.Certificate, c.Username = nil, directory.Username
	c.Password = func() (string, error) { return directory.Password, nil }
	return c
}

// byNTLM gives the settings for NTLM, and makes the server ask for it.
func byNTLM(t *testing.T, server *pages.CA) certsrv.Config {
	t.Helper()
	server.SignInByNTLM()
	c := byPassword(t, server)
	c.NTLM = true
	return c
}

func newClient(t *testing.T, c certsrv.Config) *certsrv.Client {
	t.Helper()
	return testkit.Must(certsrv.New(c))(t)
}

func deniedBy(t *testing.T, err error) *upstream.Denied {
	t.Helper()
	var denied *upstream.Denied
	if !errors.As(err, &denied) {
		t.Fatalf("error is %v, want a Denied", err)
	}
	return denied
}

// wantUnknown demands an error after which a certificate may exist.
func wantUnknown(t *testing.T, what string, err error) {
	t.Helper()
	var denied *upstream.Denied
	if err == nil || errors.As(err, &denied) || errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("%s: error is %v, want one of an unknown outcome", what, err)
	}
}

func TestStandInOfWebEnrolmentPages(t *testing.T) {
	ways := map[string]func(*testing.T, *pages.CA) certsrv.Config{"certificate": byCertificate, "password": byPassword, "ntlm": byNTLM}
	for name, settings := range ways {
		t.Run(name, func(t *testing.T) {
			standin.Suite{Refuses: []standin.Fault{standin.Denied}, New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
				server := pages.Start(t)
				c := settings(t, server)
				c.Wire.Timeout = timeout
				return server.Server, newClient(t, c)
			}}.Run(t)
		})
	}
}

func TestPagesInThreeLanguages(t *testing.T) {
	for _, language := range []string{"en", "de", "fr"} {
		server := pages.Start(t)
		server.SetLanguage(language)
		client := newClient(t, byCertificate(t, server))
		request, key := standin.NewRequest(t)
		answer := testkit.Must(client.Submit(t.Context(), request))(t)
		testkit.NoError(t, server.Check(t, answer, key))
		testkit.Equal(t, language+": digits of the id", len(answer.ID), 39)
		testkit.Equal(t, language+": certificates in the chain", len(answer.Chain), 2)

		server.Set(standin.Pending)
		waits := testkit.Must(client.Submit(t.Context(), request))(t)
		testkit.Equal(t, language+": waits", waits.Pending(), true)
		again := testkit.Must(client.Poll(t.Context(), waits.ID))(t)
		testkit.Equal(t, language+": still waits", again.Pending() && again.ID == waits.ID, true)
		testkit.NoError(t, server.Approve(waits.ID))
		done := testkit.Must(client.Poll(t.Context(), waits.ID))(t)
		testkit.NoError(t, server.Check(t, done, key))

		waits = testkit.Must(client.Submit(t.Context(), request))(t)
		testkit.NoError(t, server.Deny(waits.ID, 0x80094014))
		_, err := client.Poll(t.Context(), waits.ID)
		denied := deniedBy(t, err)
		testkit.Equal(t, language+": code", denied.Code, "0x80094014")
		testkit.Equal(t, language+": id", denied.ID, waits.ID)
		testkit.Equal(t, language+": requests", server.Submits(), 3)
	}
}

func TestEveryCode(t *testing.T) {
	server := pages.Start(t)
	client := newClient(t, byPassword(t, server))
	request, _ := standin.NewRequest(t)
	for _, e := range adcs.Explanations() {
		for _, language := range []string{"en", "de", "fr"} {
			server.SetLanguage(language)
			server.SetCode(uint32(e.Code))
			_, err := client.Submit(t.Context(), request)
			denied := deniedBy(t, err)
			testkit.Equal(t, e.Name+" is about the portal", denied.Credentials, e.Effect == adcs.RefusedPortal)
			testkit.Equal(t, "code", denied.Code, e.Code.String())
			testkit.Equal(t, e.Name+": digits of the id", len(denied.ID), 39)
			// The page for a certificate names the code and not that it is the end.
			_, err = client.Poll(t.Context(), denied.ID)
			if e.Effect == adcs.Refused || e.Effect == adcs.RefusedPortal {
				testkit.Equal(t, "code of the poll", deniedBy(t, err).Code, e.Code.String())
			} else {
				wantUnknown(t, e.Name, err)
			}
		}
	}
	testkit.Equal(t, "certificates", len(server.Issued()), 0)
}

// A certificate that was issued and not fetched is fetched later.
func TestIssuedAndNotFetched(t *testing.T) {
	server := pages.Start(t)
	request, key := standin.NewRequest(t)
	c := byPassword(t, server)
	calls := 0
	c.Password = func() (string, error) {
		if calls++; calls > 1 {
			return "another", nil
		}
		return directory.Password, nil
	}
	answer := testkit.Must(newClient(t, c).Submit(t.Context(), request))(t)
	if !answer.Pending() || answer.ID == "" || answer.RetryAfter == 0 {
		t.Fatalf("answer is %+v, want one that waits", answer)
	}
	fetched := testkit.Must(newClient(t, byPassword(t, server)).Poll(t.Context(), answer.ID))(t)
	testkit.NoError(t, server.Check(t, fetched, key))
	testkit.Equal(t, "requests", server.Submits(), 1)
}

// A poll that meets a broken web server must not end a request that waits.
func TestPollKeepsRequest(t *testing.T) {
	server := pages.Start(t)
	server.Set(standin.Pending)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	answer := testkit.Must(client.Submit(t.Context(), request))(t)
	for _, fault := range []standin.Fault{standin.ToHTTP, standin.ToOtherHost, standin.Unavailable, standin.Cut, standin.HTML, standin.Garbage, standin.Huge} {
		server.Set(fault)
		_, err := client.Poll(t.Context(), answer.ID)
		wantUnknown(t, string(fault), err)
	}
	server.Set(standin.Pending)
	_, err := client.Poll(t.Context(), "5") // the CA knows no such request
	wantUnknown(t, "unknown request", err)
	for _, id := range []string{"", "0", "-1", "1&Enc=b64", "CACert", "../x", strings.Repeat("9", 65)} {
		if _, err := client.Poll(t.Context(), id); !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("poll of %q gives %v, want that nothing was sent", id, err)
		}
	}
}

func TestPersonOutsideTheAgentsGroup(t *testing.T) {
	server := pages.Start(t)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	request.Login = `CORP\director`
	_, err := client.Submit(t.Context(), request)
	testkit.Equal(t, "code", deniedBy(t, err).Code, "0x80094009")
	testkit.Equal(t, "requesters", fmt.Sprint(server.Asked()), `[CORP\director]`)
}

func TestWrongPassword(t *testing.T) {
	server := pages.Start(t)
	c := byPassword(t, server)
	c.Password = func() (string, error) { return "s3cret-of-the-portal", nil }
	client := newClient(t, c)
	request, _ := standin.NewRequest(t)
	_, err := client.Submit(t.Context(), request)
	testkit.Equal(t, "is about credentials", deniedBy(t, err).Credentials, true)
	_, probe := client.Probe(t.Context())
	testkit.Equal(t, "probe is about credentials", deniedBy(t, probe).Credentials, true)
	if strings.Contains(fmt.Sprint(err, probe), "s3cret") {
		t.Errorf("error holds the password: %v", err)
	}
}

func TestSettings(t *testing.T) {
	server := pages.Start(t)
	for name, change := range map[string]func(*certsrv.Config){
		"no credentials":     func(c *certsrv.Config) { c.Wire.Certificate = nil },
		"both credentials":   func(c *certsrv.Config) { c.Username = "portal" },
		"no template":        func(c *certsrv.Config) { c.Template = "" },
		"attribute injected": func(c *certsrv.Config) { c.Template = "User\r\nSAN:upn=administrator@corp.example" },
		"query injected":     func(c *certsrv.Config) { c.Template = "User&SAN" },
		"http":               func(c *certsrv.Config) { c.Wire.URL = "http://ca.corp.example/certsrv" },
	} {
		c := byCertificate(t, server)
		change(&c)
		if _, err := certsrv.New(c); err == nil {
			t.Errorf("%s: settings are accepted", name)
		}
	}
	c := byCertificate(t, server)
	c.Template = "Machine"
	request, _ := standin.NewRequest(t)
	if _, err := newClient(t, c).Submit(t.Context(), request); !errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("request for another template: %v, want that nothing was sent", err)
	}
}
