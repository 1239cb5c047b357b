package exchangecheck_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/internal/deliver"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/relyingparty"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// world is a portal with two people's phones, and the certificate of a mail server.
type world struct {
	*fixture.LivePortal
	files  daemon.Files
	anchor exchangecheck.Anchor // of the mail server
	front  relyingparty.FrontEnd
	phone  *tls.Certificate // anna's
	lost   *tls.Certificate
	other  *tls.Certificate // bert's, who has no mailbox
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{LivePortal: fixture.NewLivePortal(t)}
	own := testkit.Must(daemon.NewAuthority())(t)
	w.files = testkit.Must(own.Server(t.TempDir(), "127.0.0.1", "localhost"))(t)
	w.anchor = exchangecheck.Anchor{Name: "Contoso mail root", Certificate: readCertificate(t, w.files.CA)}
	anna, bert := w.Add("anna", fixture.SIDPrefix+"1101"), w.Add("bert", fixture.SIDPrefix+"1102")
	lost := w.Deliver(anna, "Lost", deliver.FormatModern)
	w.phone, w.lost = pair(t, w.Deliver(anna, "Phone", deliver.FormatModern)), pair(t, lost)
	w.other = pair(t, w.Deliver(bert, "Phone", deliver.FormatModern))
	w.Lose(anna, lost)
	w.front = relyingparty.FrontEnd{
		Config: relyingparty.Config{
			Certificate: w.files.Certificate, Key: w.files.Key,
			Authorities: string(ca.PEM(w.Hierarchy.Root, w.Hierarchy.Issuing)), Lists: strings.Join(w.Lists(), ""),
		},
		Protocols: "TLSv1.2", Late: true, Verify: "require", Owner: anna.UPN,
	}
	return w
}

func readCertificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(testkit.Must(os.ReadFile(file))(t))
	return testkit.Must(x509.ParseCertificate(block.Bytes))(t)
}

// pair opens a file as a phone does.
func pair(t *testing.T, d fixture.Delivered) *tls.Certificate {
	t.Helper()
	key, leaf, chain, err := pkcs12.DecodeChain(d.File, d.Password)
	testkit.NoError(t, err)
	made := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, cert := range append([]*x509.Certificate{leaf}, chain...) {
		made.Certificate = append(made.Certificate, cert.Raw)
	}
	return made
}

// check asks a server with a certificate; nil brings none.
func (w *world) check(t *testing.T, url string, with *tls.Certificate, change func(*exchangecheck.Config)) []exchangecheck.Finding {
	t.Helper()
	c := exchangecheck.Config{
		Host: testkit.Must(exchangecheck.ParseURL(url))(t), Anchors: []exchangecheck.Anchor{w.anchor}, System: x509.NewCertPool(),
		Without: "no certificate was given",
	}
	if with != nil {
		c.Client = func(context.Context) (*exchangecheck.Client, error) {
			return &exchangecheck.Client{Certificate: *with, About: "a phone's certificate"}, nil
		}
	}
	if change != nil {
		change(&c)
	}
	return exchangecheck.Check(t.Context(), c)
}

// diagnoses are the codes of what is wrong.
func diagnoses(findings []exchangecheck.Finding) string {
	var codes []string
	for _, f := range findings {
		if f.State == portal.FindingFailed || f.State == portal.FindingWarning {
			codes = append(codes, f.Code)
		}
	}
	return strings.Join(codes, " ")
}

// wantDiagnosis requires one diagnosis and no other; for the empty one, that it works.
func wantDiagnosis(t *testing.T, findings []exchangecheck.Finding, want string) {
	t.Helper()
	if got := diagnoses(findings); got != want {
		t.Errorf("diagnosis %q, want %q:", got, want)
		for _, f := range findings {
			t.Logf("%s %s [%s]: %s\n  tried %s\n  mend %s", f.State, f.What, f.Code, f.Text, f.Tried, f.Mend)
		}
	}
	for _, f := range findings {
		if f.Text == "" || (f.State == portal.FindingFailed && f.Mend == "") {
			t.Errorf("%s %q does not say what it means or what to do: %+v", f.What, f.Code, f)
		}
	}
}

func has(findings []exchangecheck.Finding, code string) bool {
	for _, f := range findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// TestApacheAsExchange asks an Apache that plays the front end, right and broken in one
// thing each: exactly that is named.
func TestApacheAsExchange(t *testing.T) {
	w := newWorld(t)
	foreign := newWorld(t)
	tests := []struct {
		name  string
		front func(*relyingparty.FrontEnd)
		with  *tls.Certificate
		want  string
		also  string // a finding that must be there
	}{
		{"late, TLS 1.2", nil, w.phone, "", "works"},
		{"without a certificate at hand", nil, nil, "", "required"},
		{"pilot: passwords too", func(f *relyingparty.FrontEnd) { f.Verify = "optional" }, w.phone, "", "pilot"},
		{"asks in the handshake, TLS 1.3", func(f *relyingparty.FrontEnd) { f.Late, f.Protocols = false, "TLSv1.2 +TLSv1.3" }, w.phone, "", "works"},
		{"late with TLS 1.3 on", func(f *relyingparty.FrontEnd) { f.Protocols = "TLSv1.2 +TLSv1.3" }, w.phone, "late-under-tls13", "works"},
		{"late with TLS 1.3 only", func(f *relyingparty.FrontEnd) { f.Protocols = "TLSv1.3" }, w.phone, "late-under-tls13", ""},
		{"certificates are not set up", func(f *relyingparty.FrontEnd) { f.Verify = "" }, w.phone, "not-asked", "password"},
		{"a list of revocations is missing", func(f *relyingparty.FrontEnd) { f.Lists = w.Lists()[0] }, w.phone, "chain", ""},
		{"a list has ended", func(f *relyingparty.FrontEnd) { f.Lists = strings.Join(w.ExpiredLists(), "") }, w.phone, "list-ended", ""},
		{"the server trusts another CA", func(f *relyingparty.FrontEnd) { f.Authorities, f.Lists = string(ca.PEM(w.anchor.Certificate)), "" }, w.phone, "other-issuer", ""},
		{"the server trusts a CA of the same name", func(f *relyingparty.FrontEnd) {
			f.Authorities, f.Lists = string(ca.PEM(foreign.Hierarchy.Root, foreign.Hierarchy.Issuing)), ""
		}, w.phone, "chain", ""},
		{"no account has the UPN", nil, w.other, "not-mapped", ""},
		{"revoked", nil, w.lost, "revoked", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			front := w.front
			if tt.front != nil {
				tt.front(&front)
			}
			s := relyingparty.ApacheExchange(t, front)
			findings := w.check(t, s.URL(), tt.with, nil)
			wantDiagnosis(t, findings, tt.want)
			if tt.also != "" && !has(findings, tt.also) {
				t.Errorf("no finding %q in %+v\n%s", tt.also, findings, s.Log())
			}
		})
	}
}

// TestNginxAsExchange asks a proxy in front, which answers 400 in the place of TLS alerts.
func TestNginxAsExchange(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name  string
		front func(*relyingparty.FrontEnd)
		with  *tls.Certificate
		want  string
		also  string
	}{
		{"right", nil, w.phone, "", "works"},
		{"without a certificate at hand", nil, nil, "", "required"},
		{"revoked", nil, w.lost, "proxy-refuses", ""},
		{"a list has ended", func(f *relyingparty.FrontEnd) { f.Lists = strings.Join(w.ExpiredLists(), "") }, w.phone, "proxy-refuses", ""},
		{"pilot", func(f *relyingparty.FrontEnd) { f.Verify = "optional" }, w.phone, "", "pilot"},
		{"certificates are not set up", func(f *relyingparty.FrontEnd) { f.Verify = "" }, w.phone, "not-asked", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			front := w.front
			front.Late, front.Protocols = false, "TLSv1.2 TLSv1.3"
			if tt.front != nil {
				tt.front(&front)
			}
			s := relyingparty.NginxExchange(t, front)
			findings := w.check(t, s.URL(), tt.with, nil)
			wantDiagnosis(t, findings, tt.want)
			if tt.also != "" && !has(findings, tt.also) {
				t.Errorf("no finding %q in %+v\n%s", tt.also, findings, s.Log())
			}
		})
	}
}
