package kerberos_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"certportal/ca/upstream"
	"certportal/ca/upstream/kerberos"
	"certportal/ca/upstream/wire"
	"certportal/internal/test/daemon"
	"certportal/internal/test/samba"
	"certportal/internal/test/standin/negotiate"
	"certportal/internal/test/testkit"
)

func TestMain(m *testing.M) {
	code := m.Run()
	samba.StopAll()
	os.Exit(code)
}

const (
	service   = "HTTP/127.0.0.1"
	account   = "svc-portal"
	principal = account + "@CORP.EXAMPLE.TEST"
)

// domain has the portal's account and that of the web server.
type domain struct {
	*samba.DC
	portal, web samba.Entry
}

func newDomain(t *testing.T) domain {
	t.Helper()
	dc := samba.Lease(t)
	only := map[string][]string{"msDS-SupportedEncryptionTypes": {"24"}} // AES
	d := domain{DC: dc, portal: dc.AddUser(t, samba.User{Login: account, More: only})}
	d.web = dc.AddUser(t, samba.User{Login: "svc-web", More: map[string][]string{
		"msDS-SupportedEncryptionTypes": {"24"}, "servicePrincipalName": {service},
	}})
	return d
}

// config is that of the portal's account, as the file is when it is read.
func (d domain) config(t *testing.T) kerberos.Config {
	t.Helper()
	keytab := d.Keytab(t, account)
	return kerberos.Config{
		Principal: principal,
		Keytab:    func() ([]byte, error) { return os.ReadFile(keytab) },
		Realms:    func() ([]byte, error) { return []byte(d.KerberosConfig()), nil },
	}
}

// server asks for Kerberos and counts what is signed in.
type server struct {
	*httptest.Server
	iis  atomic.Pointer[negotiate.Server]
	seen atomic.Int64 // octets of signed requests
}

func newServer(t *testing.T, d domain) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.iis.Load().SignsIn(w, r) {
			n, _ := io.Copy(w, r.Body)
			s.seen.Add(n)
		}
	}))
	t.Cleanup(s.Close)
	s.iis.Store(negotiate.Start(t, d.Keytab(t, service), principal, s.Certificate()))
	return s
}

func (s *server) client(t *testing.T, c kerberos.Config) *wire.Client {
	t.Helper()
	return testkit.Must(wire.New(wire.Config{URL: s.URL, Anchors: []*x509.Certificate{s.Certificate()}, Kerberos: testkit.Must(kerberos.New(c))(t)}))(t)
}

// The tickets are of Samba, the tokens accepted by MIT's library.
func TestSignsIn(t *testing.T) {
	d := newDomain(t)
	s := newServer(t, d)
	client := s.client(t, d.config(t))
	for range 2 { // with a new ticket, and with the one that was kept
		reply, err := client.Do(t.Context(), wire.Call{Method: http.MethodPost, Body: []byte("request")})
		testkit.NoError(t, err)
		testkit.NoError(t, s.iis.Load().Refused())
		testkit.Equal(t, "answer", string(reply.Body), "request")
	}
	testkit.Equal(t, "octets", s.seen.Load(), 14)
}

// TestA14_KerberosIsNotRelayed: a relay that the client trusts cannot pass the token on (ESC8),
// because it is bound to the relay's certificate and not to that of the server behind.
func TestA14_KerberosIsNotRelayed(t *testing.T) {
	d := newDomain(t)
	s := newServer(t, d)
	s.iis.Load().Show(&x509.Certificate{Raw: []byte("the certificate of the server behind")})
	reply, err := s.client(t, d.config(t)).Do(t.Context(), wire.Call{Method: http.MethodPost, Body: []byte("request")})
	testkit.NoError(t, err)
	testkit.Equal(t, "status", reply.Status, http.StatusUnauthorized)
	if err := s.iis.Load().Refused(); err == nil || !strings.Contains(err.Error(), "BadChannelBindings") {
		t.Errorf("refused for %v, want the channel binding", err)
	}
	testkit.Equal(t, "octets", s.seen.Load(), 0)
}

// The web server's account got another password: its ticket is refused once, and the next
// request has a new one.
func TestKeyOfTheServiceChanges(t *testing.T) {
	d := newDomain(t)
	s := newServer(t, d)
	client := s.client(t, d.config(t))
	ask := func() int {
		t.Helper()
		return testkit.Must(client.Do(t.Context(), wire.Call{Method: http.MethodPost, Body: []byte("request")}))(t).Status
	}
	testkit.Equal(t, "before", ask(), http.StatusOK)
	d.SetPassword(t, d.web.DN, "an0ther-Passw0rd")
	s.iis.Store(negotiate.Start(t, d.Keytab(t, service), principal, s.Certificate()))
	testkit.Equal(t, "with the ticket that was kept", ask(), http.StatusUnauthorized)
	testkit.Equal(t, "with a new ticket", ask(), http.StatusOK)
}

// What the KDC refuses comes with what to do, and nothing is sent to the web server.
func TestRefusalsOfTheKDC(t *testing.T) {
	d := newDomain(t)
	s := newServer(t, d)
	well := d.config(t)
	refuses := func(t *testing.T, c kerberos.Config, want string) {
		t.Helper()
		_, err := s.client(t, c).Do(t.Context(), wire.Call{Method: http.MethodPost, Body: []byte("request")})
		if !errors.Is(err, upstream.ErrUnsent) || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q and that nothing was sent", err, want)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("error holds a key: %v", err)
		}
	}
	other := d.Keytab(t, "svc-web")
	for name, tt := range map[string]struct {
		change func(*kerberos.Config)
		want   string
	}{
		"keytab of another account": {func(c *kerberos.Config) { c.Keytab = func() ([]byte, error) { return os.ReadFile(other) } }, "has no AES key of " + principal},
		"damaged keytab": {func(c *kerberos.Config) {
			c.Keytab = func() ([]byte, error) { return []byte("\x05\x02\x00\x00\x00\x7fs3cret"), nil }
		}, "damaged"},
		"no keytab":      {func(c *kerberos.Config) { c.Keytab = func() ([]byte, error) { return nil, os.ErrNotExist } }, "reading keytab"},
		"no KDC answers": {func(c *kerberos.Config) { c.Realms = kdcAt(testkit.Must(daemon.FreeAddress())(t)) }, "asked on TCP 88"},
		"a KDC of 4 GB":  {func(c *kerberos.Config) { c.Realms = kdcAt(noise(t, "\xff\xff\xff\xff")) }, "octets, at most"},
		"a KDC of noise": {func(c *kerberos.Config) {
			c.Realms = kdcAt(noise(t, "\x00\x00\x00\x08\x7e\x06\x30\x04\xa0\x02\x02\x7f"))
		}, "signing in to Kerberos"},
	} {
		t.Run(name, func(t *testing.T) {
			c := well
			tt.change(&c)
			refuses(t, c, tt.want)
		})
	}
	d.Modify(t, d.web.DN, map[string][]string{"servicePrincipalName": {"HTTP/elsewhere.corp.example.test"}})
	refuses(t, well, "setspn -S")
	d.SetPassword(t, d.portal.DN, "an0ther-Passw0rd")
	refuses(t, well, "make a new one after each change")
	rush(t, s, well)
	testkit.Equal(t, "wrong passwords at the controller", d.BadPasswords(t, d.portal.DN), 2)
	d.Disable(t, d.portal.DN)
	refuses(t, d.config(t), "disabled")
	testkit.Equal(t, "octets", s.seen.Load(), 0)
}

// rush sends requests at the same time that the KDC refuses: it sees one try.
func rush(t *testing.T, s *server, c kerberos.Config) {
	t.Helper()
	client := s.client(t, c)
	var wait sync.WaitGroup
	for range 2 * samba.LockAfter {
		wait.Go(func() {
			_, err := client.Do(t.Context(), wire.Call{Method: http.MethodPost, Body: []byte("request")})
			if denied, is := errors.AsType[*upstream.Denied](err); !is || !denied.Credentials {
				t.Errorf("error is %v, want the refusal of the KDC", err)
			}
		})
	}
	wait.Wait()
}

func kdcAt(address string) func() ([]byte, error) {
	return func() ([]byte, error) {
		return []byte("[realms]\nCORP.EXAMPLE.TEST = {\nkdc = " + address + "\n}\n"), nil
	}
}

// noise is a server that answers with what no KDC says.
func noise(t *testing.T, answer string) string {
	t.Helper()
	l := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// A request ends with its time, though the KDC does not answer.
func TestKDCThatHangs(t *testing.T) {
	l := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	d := newDomain(t)
	c := d.config(t)
	c.Realms = kdcAt(l.Addr().String())
	a := testkit.Must(kerberos.New(c))(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			cancel()
			defer conn.Close()
			io.Copy(io.Discard, conn)
		}
	}()
	if _, err := a.Token(ctx, service, make([]byte, 16)); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that the request ended", err)
	}
}

func TestPrincipals(t *testing.T) {
	for text, fine := range map[string]bool{
		principal: true, "svc-portal": false, "svc-portal@corp.example": false, `CORP\svc-portal`: false, "@CORP.EXAMPLE": false, "a@B@C": false, "": false,
	} {
		if _, _, err := kerberos.Principal(text); (err == nil) != fine {
			t.Errorf("%q: %v", text, err)
		}
	}
}
