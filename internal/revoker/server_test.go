package revoker_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/revoker"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// twoCAs is a portal with two CAs that cannot be asked to revoke, and a revoker for each.
type twoCAs struct {
	*fixture.Portal
	url     string
	roots   *x509.CertPool
	mu      sync.Mutex
	pinned  map[string][]*x509.Certificate
	broken  map[string]error
	company tls.Certificate // of the revoker of company
	other   tls.Certificate
	serial  map[string]ca.Serial // blocked here, by CA
	of      map[string]*enroll.Registrar
}

// certificate makes one that signed itself.
func certificate(t *testing.T, from, to time.Time) tls.Certificate {
	t.Helper()
	key := testkit.ECKey(t)
	return signed(t, key, key, nil, from, to)
}

func signed(t *testing.T, key, by crypto.Signer, issuer *x509.Certificate, from, to time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: testkit.Must(rand.Int(rand.Reader, big.NewInt(1<<62)))(t), Subject: pkix.Name{CommonName: "ca01"}, DNSNames: []string{"localhost"},
		NotBefore: from, NotAfter: to, IsCA: issuer == nil, BasicConstraintsValid: true,
	}
	if issuer == nil {
		issuer = template
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), by))(t)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: testkit.Must(x509.ParseCertificate(der))(t)}
}

func newTwoCAs(t *testing.T, address string) *twoCAs {
	t.Helper()
	clock := testkit.NewClock()
	cas := map[string]*fixture.UpstreamCA{"company": fixture.NewUpstreamCA(t, clock.Now), "other": fixture.NewUpstreamCA(t, clock.Now)}
	upstreams := map[string]*enroll.Upstream{}
	for name, of := range cas {
		of.OnRevoke = func() error { return upstream.ErrUnsupported }
		upstreams[name] = of.Upstream(name)
	}
	f := &twoCAs{serial: map[string]ca.Serial{}, of: map[string]*enroll.Registrar{}, broken: map[string]error{}}
	f.Portal = fixture.NewPortalAt(t, clock, address, func(c *enroll.Config) { c.Upstreams = []*enroll.Upstream{upstreams["company"], upstreams["other"]} })
	for n, name := range []string{"company", "other"} {
		of := f.NewRegistrar(func(c *enroll.Config) { c.Upstream = upstreams[name] })
		t.Cleanup(func() { of.DrainUpstream(context.WithoutCancel(t.Context())) })
		f.of[name] = of
		f.serial[name] = f.block(name, f.Add(name+"-person", fixture.SIDPrefix+strconv.Itoa(1101+n)), "Phone")
	}
	now := clock.Now()
	f.company, f.other = certificate(t, now.Add(-time.Hour), now.AddDate(1, 0, 0)), certificate(t, now.Add(-time.Hour), now.AddDate(1, 0, 0))
	f.pinned = map[string][]*x509.Certificate{"company": {f.company.Leaf}, "other": {f.other.Leaf}}
	f.serve()
	return f
}

// block makes a certificate of a CA and blocks it.
func (f *twoCAs) block(name string, person portal.Person, device string) ca.Serial {
	f.T.Helper()
	ctx, of := f.T.Context(), f.of[name]
	done := testkit.Must(of.Enroll(ctx, f.Request(person, device, name+device)))(f.T)
	testkit.NoError(f.T, of.Block(ctx, fixture.Employee(person), enroll.Block{Person: person.ID, Device: done.Device, Cause: portal.Lost}))
	testkit.NoError(f.T, of.SweepUpstream(ctx))
	return done.Serial
}

// serve answers revokers over TLS.
func (f *twoCAs) serve() {
	s := revoker.New(revoker.Config{
		Store: f.DB, CAs: []string{"company", "other"}, Now: f.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Certificates: func(ca string) ([]*x509.Certificate, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.pinned[ca], f.broken[ca]
		},
	})
	server := httptest.NewUnstartedServer(s.Handler())
	own := certificate(f.T.(*testing.T), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	server.TLS = s.TLS(&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12})
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	f.T.Cleanup(server.Close)
	f.roots = x509.NewCertPool()
	f.roots.AddCert(own.Leaf)
	f.url = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// do sends a request with a certificate, none if it is empty. The status is 0 when the
// connection was refused.
func (f *twoCAs) do(show tls.Certificate, method, path, kind, body string) (int, string) {
	f.T.Helper()
	request := testkit.Must(http.NewRequestWithContext(f.T.Context(), method, f.url+path, strings.NewReader(body)))(f.T)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: f.roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &show, nil },
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	return response.StatusCode, string(testkit.Must(io.ReadAll(response.Body))(f.T))
}

func (f *twoCAs) report(show tls.Certificate, ca, body string) int {
	f.T.Helper()
	status, _ := f.do(show, http.MethodPost, revoker.Path+ca, "application/json", body)
	return status
}

func body(serial, outcome string, code int) string {
	text, _ := json.Marshal(map[string]any{"serial": serial, "outcome": outcome, "code": code}) // never fails
	return string(text)
}

// open lists the serials that the CAs did not confirm.
func (f *twoCAs) open() string {
	f.T.Helper()
	var all []string
	for _, v := range testkit.Must(f.DB.UpstreamRevocations(f.T.Context(), 10))(f.T) {
		all = append(all, v.Serial.String())
	}
	return strings.Join(all, " ")
}

// reported lists the entries of revokers in the audit log.
func (f *twoCAs) reported() (entries []audit.Entry) {
	for _, e := range f.Entries() {
		if strings.HasPrefix(e.Actor, "revoker:") {
			entries = append(entries, e)
		}
	}
	return entries
}

// TestRevokerRevokes: a revoker gets what is open at its CA, and what it reports is recorded
// once, with its name, in the audit log and on the page of the certificate.
func TestRevokerRevokes(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		f := newTwoCAs(t, address)
		serial := f.serial["company"].String()
		status, text := f.do(f.company, http.MethodGet, revoker.Path+"company", "", "")
		var got struct {
			Authority   string
			Revocations []struct {
				Serial string
				Reason int
			}
			More bool
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
			t.Fatalf("status %d, %q", status, text)
		}
		if got.Authority != "company" || len(got.Revocations) != 1 || got.Revocations[0].Serial != serial || got.Revocations[0].Reason != 1 || got.More {
			t.Errorf("to do: %+v", got)
		}
		for range 2 {
			if status := f.report(f.company, "company", body(serial, "failed", -2146885613)); status != http.StatusNoContent {
				t.Errorf("a failure: status %d", status)
			}
		}
		detail := testkit.Must(f.DB.CertificateDetail(t.Context(), f.serial["company"], f.Clock.Now()))(t)
		if !detail.Confirmed.IsZero() || !strings.Contains(detail.Obstacle, "0x80092013") || detail.ConfirmedBy != "" {
			t.Errorf("after a failure: %+v", detail)
		}
		for range 2 {
			if status := f.report(f.company, "company", body(serial, "revoked", 0)); status != http.StatusNoContent {
				t.Errorf("an outcome: status %d", status)
			}
		}
		detail = testkit.Must(f.DB.CertificateDetail(t.Context(), f.serial["company"], f.Clock.Now()))(t)
		if !detail.Confirmed.Equal(f.Clock.Now()) || detail.ConfirmedBy != enroll.ByRevoker || detail.Obstacle != "" {
			t.Errorf("after it was revoked: %+v", detail)
		}
		if status := f.report(f.company, "company", body(serial, "failed", 5)); status != http.StatusConflict {
			t.Errorf("a failure after it was revoked: status %d", status)
		}
		if f.open() != f.serial["other"].String() {
			t.Errorf("open: %s", f.open())
		}
		entries := f.reported()
		if len(entries) != 2 || entries[0].Action != audit.UpstreamNotRevoked || entries[1].Action != audit.UpstreamRevoked ||
			entries[1].Actor != "revoker:company" || entries[1].Person != "" || entries[1].Object != serial || entries[1].Detail["certificate"] == "" {
			t.Errorf("entries %+v", entries)
		}
	})
}

// TestA10_StrangersAreNoRevokers: a connection without the certificate itself of a revoker,
// valid now, ends in the handshake. With that of another CA's revoker it reaches nothing.
func TestA10_StrangersAreNoRevokers(t *testing.T) {
	f := newTwoCAs(t, fixture.SQLite(t))
	now, key := f.Clock.Now(), testkit.ECKey(t)
	ended := certificate(t, now.AddDate(-2, 0, 0), now.Add(-time.Minute))
	early := certificate(t, now.Add(time.Minute), now.AddDate(1, 0, 0))
	f.pinned["company"] = append(f.pinned["company"], ended.Leaf, early.Leaf)
	serial := f.serial["company"].String()
	for name, show := range map[string]tls.Certificate{
		"none": {}, "another of the same name": certificate(t, now.Add(-time.Hour), now.AddDate(1, 0, 0)), "ended": ended, "not valid yet": early,
		"signed by the revoker's":       signed(t, key, f.company.PrivateKey.(crypto.Signer), f.company.Leaf, now.Add(-time.Hour), now.AddDate(1, 0, 0)),
		"the revoker's without its key": {Certificate: f.company.Certificate, PrivateKey: testkit.ECKey(t)},
		"the revoker's behind another":  {Certificate: append(certificate(t, now.Add(-time.Hour), now.AddDate(1, 0, 0)).Certificate, f.company.Certificate[0]), PrivateKey: key},
	} {
		if status := f.report(show, "company", body(serial, "revoked", 0)); status != 0 {
			t.Errorf("%s: status %d", name, status)
		}
		if status, text := f.do(show, http.MethodGet, revoker.Path+"company", "", ""); status != 0 {
			t.Errorf("%s: status %d, %s", name, status, text)
		}
	}
	for _, ca := range []string{"company", "nothing", "%2e%2e", ""} {
		if status, text := f.do(f.other, http.MethodGet, revoker.Path+ca, "", ""); status/100 != 4 || strings.Contains(text, serial) {
			t.Errorf("%q with another CA's: status %d, %s", ca, status, text)
		}
		if status := f.report(f.other, ca, body(serial, "revoked", 0)); status/100 != 4 {
			t.Errorf("%q with another CA's: status %d", ca, status)
		}
	}
	if status := f.report(f.other, "other", body(serial, "revoked", 0)); status != http.StatusNotFound {
		t.Errorf("another CA's certificate: status %d", status)
	}
	if !strings.Contains(f.open(), serial) || len(f.reported()) > 0 {
		t.Error("a stranger's report counts")
	}
	asked := testkit.Must(f.DB.UpstreamRevokers(t.Context(), f.Clock.Now()))(t)
	for _, of := range asked {
		if !of.Asked.IsZero() {
			t.Errorf("%s counts as asked", of.Authority)
		}
	}
}

// TestRevokerIsTakenAway: a certificate that is no longer named reaches nothing, within an
// open connection too, and what is wrong with one revoker's file is not wrong with the other.
func TestRevokerIsTakenAway(t *testing.T) {
	f := newTwoCAs(t, fixture.SQLite(t))
	f.broken["other"] = errors.New("no file")
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.roots, Certificates: []tls.Certificate{f.company}}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, want := range []int{http.StatusOK, http.StatusForbidden} {
		response := testkit.Must(client.Get(f.url + revoker.Path + "company"))(t)
		testkit.Must(io.Copy(io.Discard, response.Body))(t)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("status %d, want %d", response.StatusCode, want)
		}
		f.mu.Lock()
		f.pinned["company"] = nil
		f.pinned["other"], f.broken["other"] = []*x509.Certificate{f.company.Leaf}, nil // the connection stays
		f.mu.Unlock()
	}
}

// TestA17_HostileReports: what is no report changes nothing.
func TestA17_HostileReports(t *testing.T) {
	f := newTwoCAs(t, fixture.SQLite(t))
	serial := f.serial["company"].String()
	good := body(serial, "revoked", 0)
	for _, hostile := range []string{
		"", "null", "[]", "{}", `"x"`, "{", good + good, good + "x", "[" + good + "]", strings.Replace(good, "}", `,"more":1}`, 1),
		body("", "revoked", 0), body("xyz", "revoked", 0), body(strings.ToUpper("0x"+serial), "revoked", 0), body("00"+serial, "revoked", 0), body(serial+"' OR 1=1", "revoked", 0),
		body(serial, "", 0), body(serial, "REVOKED", 0), body(serial, "done", 0), body(serial, "failed", 1<<40), body(serial, "failed", -1<<40),
		`{"serial":"` + serial + `","outcome":"revoked"}`, `{"serial":"` + serial + `","outcome":"failed","code":"x"}`, `{"serial":1,"outcome":"revoked","code":0}`,
		`{"serial":"` + serial + `","outcome":"failed","code":1e300}`, strings.Repeat(" ", 2000) + good, strings.Repeat("[", 1000),
	} {
		if status := f.report(f.company, "company", hostile); status/100 != 4 {
			t.Errorf("%.60q: status %d", hostile, status)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		if status, _ := f.do(f.company, http.MethodPost, revoker.Path+"company", kind, good); status != http.StatusUnsupportedMediaType {
			t.Errorf("kind %q: status %d", kind, status)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
		if status, _ := f.do(f.company, method, revoker.Path+"company", "application/json", good); status != http.StatusMethodNotAllowed {
			t.Errorf("%s: status %d", method, status)
		}
	}
	if !strings.Contains(f.open(), serial) || len(f.reported()) > 0 {
		t.Error("it counts")
	}
	unknown := testkit.Must(ca.NewSerial(bytes.NewReader(make([]byte, 32))))(t)
	if status := f.report(f.company, "company", body(unknown.String(), "revoked", 0)); status != http.StatusNotFound {
		t.Errorf("an unknown certificate: status %d", status)
	}
	// Each of these is a request of its own: the limit ends them.
	limited := false
	for range 700 {
		if status := f.report(f.company, "company", "{}"); status == http.StatusTooManyRequests {
			limited = true
			break
		}
	}
	if !limited {
		t.Error("a revoker may send any number of requests")
	}
}

// TestRevokerAsked: when a revoker asked is known, and a dry run does not count.
func TestRevokerAsked(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		f := newTwoCAs(t, address)
		asked := func() map[string]enroll.UpstreamRevoker {
			all := map[string]enroll.UpstreamRevoker{}
			for _, v := range testkit.Must(f.DB.UpstreamRevokers(t.Context(), f.Clock.Now()))(t) {
				all[v.Authority] = v
			}
			return all
		}
		f.do(f.company, http.MethodGet, revoker.Path+"company?dry-run", "", "")
		if got := asked()["upstream-company"]; !got.Asked.IsZero() || got.Open != 1 || got.Since.IsZero() {
			t.Errorf("after a dry run %+v", got)
		}
		for range 2 {
			f.Clock.Advance(time.Minute)
			f.do(f.company, http.MethodGet, revoker.Path+"company", "", "")
			if got := asked(); !got["upstream-company"].Asked.Equal(f.Clock.Now()) || !got["upstream-other"].Asked.IsZero() {
				t.Errorf("after it asked %+v", got)
			}
		}
		f.report(f.company, "company", body(f.serial["company"].String(), "revoked", 0))
		if got := asked()["upstream-company"]; got.Open != 0 || !got.Since.IsZero() {
			t.Errorf("without work %+v", got)
		}
	})
}

// TestF13_RevokerGetsTheLeastTriedFirst: certificates that cannot be revoked at the CA do not
// keep the rest waiting, and what has ended is neither asked for nor an alert.
func TestF13_RevokerGetsTheLeastTriedFirst(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		f := newTwoCAs(t, address)
		first := func() string {
			open := testkit.Must(f.DB.OpenRevocations(t.Context(), "upstream-company", f.Clock.Now(), 1))(t)
			if len(open) != 1 {
				return ""
			}
			return open[0].Serial.String()
		}
		moved := f.serial["company"].String()
		if got := first(); got != moved {
			t.Fatalf("at first %s", got)
		}
		f.report(f.company, "company", body(moved, "absent", 0))
		f.Clock.Advance(time.Minute)
		stolen := f.block("company", f.Add("later", fixture.SIDPrefix+"1201"), "Stolen").String()
		for range 2 {
			if got := first(); got != stolen {
				t.Errorf("the certificate of the stolen phone waits behind %s", got)
			}
			f.report(f.company, "company", body(moved, "absent", 0))
		}
		f.Clock.Advance(time.Hour)
		trouble := testkit.Must(f.DB.UpstreamTrouble(t.Context(), f.Clock.Now()))(t)
		if trouble.Unrevoked != 3 {
			t.Errorf("while they are valid %+v", trouble)
		}
		f.Clock.Advance(366 * 24 * time.Hour)
		if got := first(); got != "" {
			t.Errorf("%s has ended and is asked for", got)
		}
		for _, v := range testkit.Must(f.DB.UpstreamRevokers(t.Context(), f.Clock.Now()))(t) {
			if v.Open != 0 || !v.Since.IsZero() {
				t.Errorf("what has ended waits: %+v", v)
			}
		}
		if trouble := testkit.Must(f.DB.UpstreamTrouble(t.Context(), f.Clock.Now()))(t); trouble.Unrevoked != 0 || !trouble.UnrevokedSince.IsZero() {
			t.Errorf("what has ended is an alert: %+v", trouble)
		}
	})
}

// TestA17_ChangingFailuresDoNotFillTheLog: a revoker whose failures alternate adds one entry an
// hour; what it said last is shown, and that it revoked is recorded at once.
func TestA17_ChangingFailuresDoNotFillTheLog(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		f := newTwoCAs(t, address)
		serial := f.serial["company"].String()
		for hour := range 2 {
			for code := range 10 {
				f.report(f.company, "company", body(serial, "failed", code%2+1))
				f.Clock.Advance(time.Minute)
			}
			if got := len(f.reported()); got != hour+1 {
				t.Errorf("%d entries in hour %d", got, hour+1)
			}
			f.Clock.Advance(time.Hour)
		}
		if detail := testkit.Must(f.DB.CertificateDetail(t.Context(), f.serial["company"], f.Clock.Now()))(t); !strings.Contains(detail.Obstacle, "0x00000002") {
			t.Errorf("shown is %q", detail.Obstacle)
		}
		f.report(f.company, "company", body(serial, "failed", 7))
		f.report(f.company, "company", body(serial, "revoked", 0))
		if entries := f.reported(); len(entries) != 4 || entries[3].Action != audit.UpstreamRevoked {
			t.Errorf("entries %+v", entries)
		}
	})
}
