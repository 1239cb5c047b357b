package adcs_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/standin"
	directory "certportal/internal/test/standin/adcs"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
)

// byCertificate gives the settings for a client certificate and an agent.
func byCertificate(t *testing.T, server *ces.CA) adcs.Config {
	t.Helper()
	return adcs.Config{
		Wire:     wire.Config{URL: server.CertificateURL(), Anchors: []*x509.Certificate{server.TLS}, Certificate: server.ClientCertificate(t)},
		Template: "User", Agent: agentUntil(t, server, time.Now().Add(time.Hour)),
	}
}

func agentUntil(t *testing.T, server *ces.CA, end time.Time) func() (*adcs.Agent, error) {
	t.Helper()
	cert, key := server.Company.Agent(t, end)
	return func() (*adcs.Agent, error) { return &adcs.Agent{Certificate: cert, Key: key}, nil }
}

// byPassword gives the settings for a user name and password.
func byPassword(t *testing.T, server *ces.CA) adcs.Config {
	t.Helper()
	c := byCertificate(t, server)
	c.Wire.URL, c.Wire.Certificate, c.Username = server.PasswordURL(), nil, directory.Username
	c.Password = func() (string, error) { return directory.Password, nil }
	return c
}

func newClient(t *testing.T, c adcs.Config) *adcs.Client {
	t.Helper()
	return testkit.Must(adcs.New(c))(t)
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
func wantUnknown(t *testing.T, err error) {
	t.Helper()
	var denied *upstream.Denied
	if err == nil || errors.As(err, &denied) || errors.Is(err, upstream.ErrUnsent) {
		t.Errorf("error is %v, want one of an unknown outcome", err)
	}
}

func TestStandInOfEnrollmentWebService(t *testing.T) {
	for name, settings := range map[string]func(*testing.T, *ces.CA) adcs.Config{"certificate": byCertificate, "password": byPassword} {
		t.Run(name, func(t *testing.T) {
			standin.Suite{Refuses: []standin.Fault{standin.Denied}, NoChain: true, New: func(t *testing.T, timeout time.Duration) (*standin.Server, upstream.CA) {
				server := ces.Start(t)
				c := settings(t, server)
				c.Wire.Timeout = timeout
				return server.Server, newClient(t, c)
			}}.Run(t)
		})
	}
}

func TestIssuedAnswer(t *testing.T) {
	server := ces.Start(t)
	request, _ := standin.NewRequest(t)
	answer, err := newClient(t, byCertificate(t, server)).Submit(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Equal(t, "id, which the CA gives as 0", answer.ID, "")
	testkit.Equal(t, "text", answer.Text, "Issued")
	testkit.Equal(t, "certificates in the chain", len(answer.Chain), 2)
	testkit.Equal(t, "requesters", fmt.Sprint(server.Asked()), `[CORP\anna]`)
}

func TestPendingThenApproved(t *testing.T) {
	for _, language := range []string{"en", "de", "fr"} {
		server := ces.Start(t)
		server.SetLanguage(language)
		server.Set(standin.Pending)
		client := newClient(t, byPassword(t, server))
		request, key := standin.NewRequest(t)
		answer, err := client.Submit(t.Context(), request)
		if err != nil || !answer.Pending() {
			t.Fatalf("answer is %+v, error %v, want pending", answer, err)
		}
		testkit.Equal(t, "digits of the id", len(answer.ID), 39)
		again, err := client.Poll(t.Context(), answer.ID)
		if err != nil || !again.Pending() || again.ID != answer.ID {
			t.Errorf("%s: poll gives %+v, error %v, want pending", language, again, err)
		}
		testkit.NoError(t, server.Approve(answer.ID))
		done, err := client.Poll(t.Context(), answer.ID)
		if err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "id, which the CA now gives as 0", done.ID, answer.ID)
		testkit.NoError(t, server.Check(t, done, key))
		testkit.Equal(t, "requests", server.Submits(), 1)
	}
}

func TestPendingThenDenied(t *testing.T) {
	server := ces.Start(t)
	server.Set(standin.Pending)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	answer := testkit.Must(client.Submit(t.Context(), request))(t)
	testkit.NoError(t, server.Deny(answer.ID, 0x80094014))
	_, err := client.Poll(t.Context(), answer.ID)
	denied := deniedBy(t, err)
	testkit.Equal(t, "code", denied.Code, "0x80094014")
	testkit.Equal(t, "id", denied.ID, answer.ID)
}

// A pending request without a number cannot be asked for: only the CA's console shows it.
func TestPendingWithoutNumber(t *testing.T) {
	server := ces.Start(t)
	server.Set(standin.Pending)
	server.LoseNumbers()
	request, _ := standin.NewRequest(t)
	_, err := newClient(t, byCertificate(t, server)).Submit(t.Context(), request)
	wantUnknown(t, err)
}

// A poll that meets a broken web server must not end a request that waits.
func TestPollKeepsRequest(t *testing.T) {
	server := ces.Start(t)
	server.Set(standin.Pending)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	answer := testkit.Must(client.Submit(t.Context(), request))(t)
	for _, fault := range []standin.Fault{standin.ToHTTP, standin.ToOtherHost, standin.Unavailable, standin.Cut, standin.HTML} {
		server.Set(fault)
		_, err := client.Poll(t.Context(), answer.ID)
		wantUnknown(t, err)
	}
	server.Set(standin.Pending)
	for _, unknown := range []string{"5", "900000000000000000000000000000000000000"} {
		_, err := client.Poll(t.Context(), unknown) // the CA knows no such request
		wantUnknown(t, err)
	}
	for _, id := range []string{"", "0", "-1", "1 OR 1", "<a/>", strings.Repeat("9", 65)} {
		if _, err := client.Poll(t.Context(), id); !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("poll of %q gives %v, want that nothing was sent", id, err)
		}
	}
}

func TestEveryCode(t *testing.T) {
	server := ces.Start(t)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	for _, e := range adcs.Explanations() {
		for _, language := range []string{"en", "de", "fr"} {
			server.SetLanguage(language)
			server.SetCode(uint32(e.Code))
			_, err := client.Submit(t.Context(), request)
			var denied *upstream.Denied
			refused := errors.As(err, &denied)
			testkit.Equal(t, e.Name+" is a refusal", refused, e.Effect == adcs.Refused || e.Effect == adcs.RefusedPortal)
			if !refused {
				wantUnknown(t, err)
				continue
			}
			testkit.Equal(t, e.Name+" is about the portal", denied.Credentials, e.Effect == adcs.RefusedPortal)
			testkit.Equal(t, "code", denied.Code, e.Code.String())
			testkit.Contains(t, "error", err.Error(), e.Remedy)
			testkit.Equal(t, "digits of the id", len(denied.ID), 39)
		}
	}
	testkit.Equal(t, "certificates", len(server.Issued()), 0)
}

func TestFaultsOfTheWebServer(t *testing.T) {
	request, _ := standin.NewRequest(t)
	for subcode, want := range map[string]struct{ denied, credentials bool }{
		"o:FailedAuthentication":   {true, true},
		"o:InvalidSecurity":        {true, true},
		"o:InvalidSecurityToken":   {true, true},
		"u:MessageExpired":         {true, true},
		"a:ActionNotSupported":     {true, false},
		"a:DestinationUnreachable": {true, false},
		"a:InternalServiceFault":   {},
		"t:RequestFailed":          {},
		"":                         {},
		"a:Sonstwas":               {},
	} {
		server := ces.Start(t)
		client := newClient(t, byCertificate(t, server))
		if subcode == "" {
			subcode = " "
		}
		server.SetFault(subcode)
		_, err := client.Submit(t.Context(), request)
		var denied *upstream.Denied
		testkit.Equal(t, subcode+" is a refusal", errors.As(err, &denied), want.denied)
		if want.denied {
			testkit.Equal(t, subcode+" is about credentials", denied.Credentials, want.credentials)
		} else {
			wantUnknown(t, err)
		}
		testkit.Equal(t, "requests", server.Submits(), 1)
	}
}

func TestAgentOutsideItsLimits(t *testing.T) {
	server := ces.Start(t)
	client := newClient(t, byCertificate(t, server))
	request, _ := standin.NewRequest(t)
	request.Login = `CORP\director`
	_, err := client.Submit(t.Context(), request)
	denied := deniedBy(t, err)
	testkit.Equal(t, "person outside the group", denied.Code, "0x80094009")
	testkit.Equal(t, "is about the portal", denied.Credentials, false)

	server.RevokeAgent()
	_, err = client.Submit(t.Context(), request)
	denied = deniedBy(t, err)
	testkit.Equal(t, "revoked agent", denied.Code, "0x80092010")
	testkit.Equal(t, "is about the portal", denied.Credentials, true)

	// An agent that expired while the portal believes in an earlier time.
	c := byCertificate(t, server)
	c.Agent = agentUntil(t, server, time.Now().Add(-time.Hour))
	c.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	_, err = newClient(t, c).Submit(t.Context(), request)
	testkit.Equal(t, "expired agent", deniedBy(t, err).Code, "0x800b0101")
	testkit.Equal(t, "certificates", len(server.Issued()), 0)
}

func TestNothingIsSent(t *testing.T) {
	server := ces.Start(t)
	plain := func(t *testing.T) adcs.Config { return byCertificate(t, server) }
	for name, test := range map[string]struct {
		settings func(*adcs.Config)
		request  func(*upstream.Request)
	}{
		"another template":     {settings: func(c *adcs.Config) { c.Template = "Administrator" }},
		"no request":           {request: func(r *upstream.Request) { r.CSR = nil }},
		"broken request":       {request: func(r *upstream.Request) { r.CSR[len(r.CSR)-1] ^= 1 }},
		"no domain":            {request: func(r *upstream.Request) { r.Login = "anna" }},
		"UPN":                  {request: func(r *upstream.Request) { r.Login = "anna@corp.example" }},
		"two backslashes":      {request: func(r *upstream.Request) { r.Login = `CORP\anna\admin` }},
		"NUL in login":         {request: func(r *upstream.Request) { r.Login = "CORP\\admin\x00istrator" }},
		"hidden character":     {request: func(r *upstream.Request) { r.Login = "CORP\\anna\u202e" }},
		"expired agent":        {settings: func(c *adcs.Config) { c.Agent = agentUntil(t, server, time.Now().Add(-time.Minute)) }},
		"agent file is gone":   {settings: func(c *adcs.Config) { c.Agent = func() (*adcs.Agent, error) { return nil, errors.New("no such file") } }},
		"agent without key":    {settings: func(c *adcs.Config) { c.Agent = func() (*adcs.Agent, error) { return &adcs.Agent{}, nil } }},
		"agent with other key": {settings: otherKey(t)},
		"agent without usage":  {settings: noUsage(t, server)},
	} {
		c := plain(t)
		if test.settings != nil {
			test.settings(&c)
		}
		request, _ := standin.NewRequest(t)
		if test.request != nil {
			test.request(&request)
		}
		if _, err := newClient(t, c).Submit(t.Context(), request); !errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%s: error is %v, want that nothing was sent", name, err)
		}
	}
	testkit.Equal(t, "requests", server.Submits(), 0)
}

func otherKey(t *testing.T) func(*adcs.Config) {
	return func(c *adcs.Config) {
		agent := testkit.Must(c.Agent())(t)
		agent.Key = testkit.ECKey(t)
		c.Agent = func() (*adcs.Agent, error) { return agent, nil }
	}
}

func noUsage(t *testing.T, server *ces.CA) func(*adcs.Config) {
	return func(c *adcs.Config) {
		client := testkit.Must(server.ClientCertificate(t)())(t)
		cert := testkit.Must(x509.ParseCertificate(client.Certificate[0]))(t)
		agent := testkit.Must(c.Agent())(t)
		c.Agent = func() (*adcs.Agent, error) { return &adcs.Agent{Certificate: cert, Key: agent.Key}, nil }
	}
}

func TestWithoutAgent(t *testing.T) {
	server := ces.Start(t)
	c := byCertificate(t, server)
	c.Agent = nil
	request, _ := standin.NewRequest(t)
	_, err := newClient(t, c).Submit(t.Context(), request)
	testkit.Equal(t, "code of a CA that wants a signature", deniedBy(t, err).Code, "0x8009480a")
	testkit.Contains(t, "message", server.Bodies()[0], "enrollment#PKCS10")
}
