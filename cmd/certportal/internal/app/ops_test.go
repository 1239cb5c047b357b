package app

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/test/testkit"
)

// onOps asks the port for health and metrics.
func (p *App) onOps(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + p.opsPort.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// gauge is the first value of a metric that has this label value.
func gauge(t *testing.T, families map[string]*dto.MetricFamily, name, label string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetValue() == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Errorf("%s of %s is missing", name, label)
	return 0
}

func TestHealthAndMetricsOfAPortal(t *testing.T) {
	p := serving(t, t.TempDir())
	for path, want := range map[string]string{"/healthz": "alive\n", "/readyz": "ready\n"} {
		if got, body := p.onOps(t, path); got != http.StatusOK || body != want {
			t.Errorf("%s: got %d %q, want %q", path, got, body, want)
		}
	}
	status(t, p.client(), p.Public.HTTPS.String()+"/login")
	status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl")
	_, text := p.onOps(t, "/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	held, _ := p.lists.CRL(localca.IssuingName)
	if got := gauge(t, families, "certportal_revocation_list_number", localca.IssuingName); got != float64(held.Number) {
		t.Errorf("number of the list: got %v, want %d", got, held.Number)
	}
	if got := gauge(t, families, "certportal_revocation_list_life_ratio", localca.IssuingName); got < 0 || got > 0.01 {
		t.Errorf("life of the list: got %v", got)
	}
	for _, cert := range []string{localca.RootName, localca.IssuingName, "tls"} {
		if got := gauge(t, families, "certportal_certificate_seconds_to_end", cert); got < 80*86400 {
			t.Errorf("seconds to the end of %s: got %v", cert, got)
		}
	}
	for _, side := range []string{"http", "https"} {
		if families["certportal_http_requests_total"] == nil || gauge(t, families, "certportal_http_requests_total", side) < 0 {
			t.Errorf("requests over %s are not counted", side)
		}
	}
	for _, check := range []string{"store", "ca", "lists", "ocsp"} {
		if got := gauge(t, families, "certportal_ready_check", check); got != 1 {
			t.Errorf("check %s: got %v", check, got)
		}
	}
	if families["certportal_ledger_head"].GetMetric()[0].GetGauge().GetValue() < 1 {
		t.Error("the ledger has no head")
	}
	if p.https.Addr().String() == p.opsPort.Addr().String() || status(t, p.client(), p.Public.HTTPS.String()+"/metrics") != http.StatusNotFound {
		t.Error("the numbers are on the portal's own port, too")
	}
}

// A database that is gone makes a server unready, and is no reason to start it again.
func TestNotReadyWithoutAStore(t *testing.T) {
	dir := t.TempDir()
	p := serving(t, dir)
	if err := os.Rename(filepath.Join(dir, "portal.db"), filepath.Join(dir, "moved.db")); err != nil {
		t.Fatal(err)
	}
	if got, body := p.onOps(t, "/readyz"); got != http.StatusServiceUnavailable || !strings.HasPrefix(body, "store: ") || strings.Count(body, "\n") != 1 {
		t.Errorf("got %d %q", got, body)
	}
	if got, _ := p.onOps(t, "/healthz"); got != http.StatusOK {
		t.Errorf("alive: got %d", got)
	}
}

func TestNotReadyWhileSealed(t *testing.T) {
	dir := t.TempDir()
	p, err := open(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Settings.DefaultPassphraseFile(), []byte("another one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = serving(t, dir)
	if got, body := p.onOps(t, "/readyz"); got != http.StatusServiceUnavailable || !strings.Contains(body, "ca: ") {
		t.Errorf("got %d %q", got, body)
	}
}

// Two portals on one machine both start; a configured port must be free.
func TestOpsPortTaken(t *testing.T) {
	taken, err := net.Listen("tcp", config.DefaultOps)
	if err == nil { // else another portal has it, which is as good
		defer taken.Close()
	}
	p := &App{Settings: &config.Settings{ListenOps: config.DefaultOps}, log: slog.New(slog.DiscardHandler)}
	if err := p.listenOps(t.Context()); err != nil || p.opsPort != nil || p.opsServer() != nil || addressOf(p.opsPort) != "" {
		t.Errorf("default: got %v, %v", p.opsPort, err)
	}
	chosen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chosen.Close()
	p.Settings.ListenOps = chosen.Addr().String()
	if err := p.listenOps(t.Context()); err == nil || !strings.Contains(err.Error(), "listen_ops") {
		t.Errorf("chosen: got %v", err)
	}
	p.Settings.ListenOps = ""
	if err := p.listenOps(t.Context()); err != nil {
		t.Errorf("none: got %v", err)
	}
}

func TestOpsAddressOfTheSettings(t *testing.T) {
	for address, fine := range map[string]bool{"": true, "127.0.0.1:0": true, ":9": true, "localhost": false, "127.0.0.1:x": false, "127.0.0.1:65536": false} {
		s := config.Defaults()
		s.ListenOps = address
		if err := s.Check(); (err == nil) != fine {
			t.Errorf("%q: got %v", address, err)
		}
	}
}

// While the database is gone pages are out of order and lists are not: the plain-http side
// stays ready.
func TestF5_PlainSideIsReadyWithoutTheDatabase(t *testing.T) {
	p := serving(t, t.TempDir())
	testkit.Eventually(t, "ready", func() bool { code, _ := p.onOps(t, "/readyz"); return code == http.StatusOK })
	testkit.NoError(t, p.DB.Close())
	testkit.Eventually(t, "not ready for pages", func() bool { code, _ := p.onOps(t, "/readyz"); return code == http.StatusServiceUnavailable })
	code, body := p.onOps(t, "/readyz/plain")
	testkit.Equal(t, "ready for plain http: "+body, code, http.StatusOK)
	testkit.Equal(t, "list", status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl"), http.StatusOK)
}
