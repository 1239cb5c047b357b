package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/relyingparty"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// exchangePortal is a portal with anna, and the certificate of a mail server.
type exchangePortal struct {
	t      *testing.T
	data   string
	files  daemon.Files
	folder *ca.Folder
}

func newExchangePortal(t *testing.T) *exchangePortal {
	t.Helper()
	p := &exchangePortal{t: t, data: t.TempDir()}
	opened, err := openApp(t, p.data)
	testkit.NoError(t, err)
	testkit.NoError(t, opened.Close())
	mustRun(t, "--data", p.data, "user", "add", "anna", "--upn", "anna@corp.example")
	own := testkit.Must(daemon.NewAuthority())(t)
	p.files = testkit.Must(own.Server(t.TempDir(), "127.0.0.1"))(t)
	p.folder = testkit.Must(ca.OpenFolder(filepath.Join(p.data, "ca")))(t)
	return p
}

// apache starts a front end that lets anna in.
func (p *exchangePortal) apache() string {
	p.t.Helper()
	return relyingparty.ApacheExchange(p.t, relyingparty.FrontEnd{
		Config: relyingparty.Config{
			Certificate: p.files.Certificate, Key: p.files.Key,
			Authorities: string(ca.PEM(p.folder.Root(), p.folder.Authorities()[0].Certificate)),
		},
		Protocols: "TLSv1.2", Late: true, Verify: "require", Owner: "anna@corp.example",
	}).URL()
}

// ask runs "doctor exchange" with the mail server's root among the anchors.
func (p *exchangePortal) ask(ctx context.Context, args ...string) (result, doctor.Report) {
	p.t.Helper()
	args = append([]string{"--data", p.data, "doctor", "exchange", "--json", "--anchor", p.files.CA}, args...)
	var out, errs strings.Builder
	code := run(ctx, args, streams{in: strings.NewReader(""), out: &out, err: &errs}, fixture.FastCA())
	var report doctor.Report
	if out.Len() > 0 {
		testkit.NoError(p.t, json.Unmarshal([]byte(out.String()), &report))
	}
	return result{code, out.String(), errs.String()}, report
}

// about are the audit entries of test certificates, by their actions.
func (p *exchangePortal) about() map[audit.Action]int {
	p.t.Helper()
	found := map[audit.Action]int{}
	for _, e := range fixture.Entries(p.t, p.records()) {
		if e.Actor == "operator" && strings.HasPrefix(e.Detail["comment"], "test of 127.0.0.1") {
			found[e.Action]++
		}
	}
	return found
}

func (p *exchangePortal) records() *store.DB {
	p.t.Helper()
	return fixture.Open(p.t, "sqlite:"+filepath.Join(p.data, "portal.db"))
}

// wantRevoked requires that one test certificate was recorded, issued and revoked.
func (p *exchangePortal) wantRevoked(want int) {
	p.t.Helper()
	got := p.about()
	if got[audit.CertificateReserved] != want || got[audit.CertificateIssued] != want || got[audit.CertificateRevoked] != want {
		p.t.Errorf("audit log: %v, want %d reserved, issued and revoked", got, want)
	}
	if list := mustRun(p.t, "--data", p.data, "list", "--status", "working"); strings.Contains(list, "anna@corp.example") {
		p.t.Errorf("a certificate of anna still works:\n%s", list)
	}
}

func notOK(r doctor.Report) string {
	var list []string
	for _, c := range r.Checks {
		if c.State != portal.FindingOK {
			list = append(list, c.Name)
		}
	}
	return strings.Join(list, " ")
}

func TestDoctorExchange(t *testing.T) {
	p := newExchangePortal(t)
	url := p.apache()
	r, report := p.ask(t.Context(), "--url", url)
	if r.code != 0 || notOK(report) != "not-tried" || !strings.Contains(r.out, "--person") {
		t.Errorf("without a certificate: exit %d\n%s%s", r.code, r.out, r.err)
	}
	p.wantRevoked(0)
	r, report = p.ask(t.Context(), "--url", url, "--person", "anna@corp.example")
	if r.code != 0 || notOK(report) != "" || !strings.Contains(r.out, "it works") || !strings.Contains(r.out, "revoked") {
		t.Errorf("as anna: exit %d\n%s%s", r.code, r.out, r.err)
	}
	p.wantRevoked(1)
	text := certportal(t, "", "--data", p.data, "doctor", "exchange", "--url", url)
	if text.code != 4 || !strings.Contains(text.out, "failed   server certificate: ") || !strings.Contains(text.out, "Tried: ") || !strings.Contains(text.out, "To do: ") {
		t.Errorf("without the mail server's root among the anchors: exit %d\n%s", text.code, text.out)
	}
}

// TestA3_DoctorExchangeAsNoneWhoMayNot refuses test certificates: of people who may have
// none, and of none who is not named in full.
func TestA3_DoctorExchangeAsNoneWhoMayNot(t *testing.T) {
	p := newExchangePortal(t)
	url := p.apache()
	mustRun(t, "--data", p.data, "user", "add", "gone", "--upn", "gone@corp.example")
	mustRun(t, "--data", p.data, "user", "disable", "gone")
	for _, upn := range []string{"gone@corp.example", "ann", "a*", "nadia@corp.example"} {
		r, report := p.ask(t.Context(), "--url", url, "--person", upn)
		if r.code != 4 || notOK(report) != "no-test-certificate" {
			t.Errorf("as %s: exit %d\n%s%s", upn, r.code, r.out, r.err)
		}
	}
	p.wantRevoked(0)
	if r, _ := p.ask(t.Context(), "--url", "https://127.0.0.1:1", "--person", "anna@corp.example"); r.code != 4 {
		t.Errorf("a server that is not there: exit %d\n%s", r.code, r.out)
	}
	if found := p.about(); found[audit.EnrolmentRefused] != 1 || found[audit.CertificateReserved] != 0 {
		t.Errorf("audit log: %v, want one refusal and no reservation", found)
	}
}

// hangingFrontEnd asks for a certificate and refuses clients without one. When it gets
// one, it calls got and never answers.
func (p *exchangePortal) hangingFrontEnd(got func()) string {
	p.t.Helper()
	pair := testkit.Must(tls.LoadX509KeyPair(p.files.Certificate, p.files.Key))(p.t)
	l := testkit.Must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, MaxVersion: tls.VersionTLS12}))(p.t)
	p.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				if len(conn.(*tls.Conn).ConnectionState().PeerCertificates) > 0 {
					got()
					io.Copy(io.Discard, conn)
				}
				io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
			}(conn)
		}
	}()
	return "https://" + l.Addr().String()
}

// TestF1_TestCertificateEndsWithTheCheck revokes the certificate also when the check fails
// or is interrupted.
func TestF1_TestCertificateEndsWithTheCheck(t *testing.T) {
	t.Run("the server hangs", func(t *testing.T) {
		p := newExchangePortal(t)
		r, report := p.ask(t.Context(), "--url", p.hangingFrontEnd(func() {}), "--person", "anna@corp.example")
		if r.code != 4 || !strings.HasPrefix(notOK(report), "silent") {
			t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
		}
		p.wantRevoked(1)
	})
	t.Run("an interrupt", func(t *testing.T) {
		p := newExchangePortal(t)
		ctx, interrupt := context.WithCancel(t.Context())
		r, _ := p.ask(ctx, "--url", p.hangingFrontEnd(interrupt), "--person", "anna@corp.example")
		if r.code == 0 || ctx.Err() == nil {
			t.Errorf("exit %d, interrupted: %v\n%s%s", r.code, ctx.Err(), r.out, r.err)
		}
		p.wantRevoked(1)
	})
}

// TestDoctorExchangeElsewhere runs on a machine without a portal, with the file of a phone.
func TestDoctorExchangeElsewhere(t *testing.T) {
	w := fixture.NewLivePortal(t)
	anna := w.Add("anna", fixture.SIDPrefix+"1101")
	d := w.Deliver(anna, "Phone", "modern")
	folder := t.TempDir()
	file, password := filepath.Join(folder, "phone.p12"), filepath.Join(folder, "password")
	testkit.NoError(t, os.WriteFile(file, d.File, 0o600))
	testkit.NoError(t, config.WriteSecret(password, []byte(d.Password)))
	p := &exchangePortal{t: t, data: filepath.Join(folder, "none")}
	own := testkit.Must(daemon.NewAuthority())(t)
	p.files = testkit.Must(own.Server(t.TempDir(), "127.0.0.1"))(t)
	url := relyingparty.ApacheExchange(t, relyingparty.FrontEnd{
		Config: relyingparty.Config{
			Certificate: p.files.Certificate, Key: p.files.Key, Authorities: string(ca.PEM(w.Hierarchy.Root, w.Hierarchy.Issuing)),
		},
		Protocols: "TLSv1.2", Late: true, Verify: "require", Owner: anna.UPN,
	}).URL()
	r, report := p.ask(t.Context(), "--url", url, "--p12", file, "--password-file", password)
	if r.code != 0 || notOK(report) != "" || !strings.Contains(r.out, "it works") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	if _, err := os.Stat(p.data); err == nil {
		t.Error("a data folder was made")
	}
	wrong := filepath.Join(folder, "wrong")
	testkit.NoError(t, config.WriteSecret(wrong, []byte("hunter2-hunter2")))
	for _, args := range [][]string{
		{"--url", url, "--p12", file, "--password-file", wrong}, {"--url", url, "--p12", file}, {"--url", url, "--p12", wrong}, {"--url", url, "--p12", folder},
		{"--url", url, "--password-file", wrong}, {"--url", url, "--person", anna.UPN}, {}, {"--url", "http://mail.example"}, {"--url", url, "--anchor", file},
	} {
		r, _ := p.ask(t.Context(), args...)
		if r.code != exitFailed || strings.Contains(r.err+r.out, "hunter2") || strings.Contains(r.err+r.out, d.Password) {
			t.Errorf("%q: exit %d, want %d and no password\n%s%s", args, r.code, exitFailed, r.out, r.err)
		}
	}
}
