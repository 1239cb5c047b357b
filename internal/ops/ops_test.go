package ops_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/fetch"
	"certportal/ca/ocsp"
	"certportal/internal/ops"
	"certportal/internal/test/testkit"
)

var fine = ops.Check{Name: "store", Look: func(context.Context) error { return nil }}

func handler(t *testing.T, c ops.Config) http.Handler {
	t.Helper()
	h, err := ops.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ask(h http.Handler, method, path, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestReadiness(t *testing.T) {
	red := func(name string) ops.Check {
		return ops.Check{Name: name, Look: func(context.Context) error { return errors.New("gone\nfor good") }}
	}
	tests := []struct {
		name   string
		checks []ops.Check
		accept string
		status int
		body   string
	}{
		{"all in order", []ops.Check{fine}, "*/*", 200, "ready\n"},
		{"all in order as JSON", []ops.Check{fine}, "application/json", 200, `{"ready":true,"checks":[{"name":"store","ok":true}]}` + "\n"},
		{"a line for each that is red", []ops.Check{red("list"), fine, red("signer")}, "", 503, "list: gone for good\nsigner: gone for good\n"},
		{"red as JSON", []ops.Check{fine, red("list")}, "text/html, application/json;q=0.9", 503,
			`{"ready":false,"checks":[{"name":"store","ok":true},{"name":"list","ok":false,"text":"gone for good"}]}` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(handler(t, ops.Config{Checks: tt.checks}), "GET", "/readyz", tt.accept)
			if got.Code != tt.status || got.Body.String() != tt.body {
				t.Errorf("got %d %q, want %d %q", got.Code, got.Body, tt.status, tt.body)
			}
			if strings.HasPrefix(tt.body, "{") && !json.Valid(got.Body.Bytes()) {
				t.Error("not JSON")
			}
		})
	}
}

// A server that stops is not ready at once: its checks do not count any more.
func TestStoppingServerIsNotReady(t *testing.T) {
	stopping := false
	never := ops.Check{Name: "store", Look: func(context.Context) error {
		if stopping {
			t.Error("a check ran")
		}
		return nil
	}}
	h := handler(t, ops.Config{Checks: []ops.Check{never}, Plain: []ops.Check{never}, Stopping: func() bool { return stopping }})
	for _, path := range []string{"/readyz", "/readyz/plain"} {
		stopping = false
		testkit.Equal(t, path, ask(h, "GET", path, "").Code, 200)
		stopping = true
		got := ask(h, "GET", path, "")
		testkit.Equal(t, path, got.Code, 503)
		testkit.Equal(t, path, got.Body.String(), "stopping: this server stops\n")
	}
	testkit.Equal(t, "/healthz", ask(h, "GET", "/healthz", "").Code, 200)
}

// Frequent requests do not load the database, and a client that disconnects does not fail
// the requests of others.
func TestReadinessIsRememberedForAMoment(t *testing.T) {
	looks, now := 0, time.Now()
	check := ops.Check{Name: "store", Look: func(ctx context.Context) error {
		looks++
		return ctx.Err()
	}}
	h := handler(t, ops.Config{Checks: []ops.Check{check}, Now: func() time.Time { return now }})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil).WithContext(gone))
	for range 10 {
		if got := ask(h, "GET", "/readyz", ""); got.Code != 200 {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
	}
	if looks != 1 {
		t.Errorf("got %d looks, want 1", looks)
	}
	now = now.Add(-time.Hour) // a clock that steps back must not freeze the cached results
	ask(h, "GET", "/readyz", "")
	now = now.Add(2 * time.Second)
	ask(h, "GET", "/readyz", "")
	if looks != 3 {
		t.Errorf("got %d looks, want 3", looks)
	}
}

func TestOnlyReading(t *testing.T) {
	h := handler(t, ops.Config{Checks: []ops.Check{{Name: "store", Look: func(context.Context) error { return errors.New("away") }}}})
	tests := []struct {
		method, path string
		want         int
	}{
		{"GET", "/healthz", 200}, {"HEAD", "/healthz", 200}, {"GET", "/readyz", 503}, {"GET", "/metrics", 200},
		{"POST", "/healthz", 405}, {"DELETE", "/readyz", 405}, {"POST", "/metrics", 405}, {"GET", "/", 404}, {"GET", "/debug/pprof/", 404},
	}
	for _, tt := range tests {
		if got := ask(h, tt.method, tt.path, "").Code; got != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.path, got, tt.want)
		}
	}
	if _, err := ops.New(ops.Config{}); err == nil {
		t.Error("a port on which everything is always ready")
	}
}

// metrics scrapes /metrics as Prometheus does.
func metrics(t *testing.T, h http.Handler) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(ask(h, "GET", "/metrics", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value returns the value of the metric with these label values, in the order of their
// names.
func value(families map[string]*dto.MetricFamily, name string, labels ...string) (float64, bool) {
	for _, m := range families[name].GetMetric() {
		var got []string
		for _, l := range m.GetLabel() {
			got = append(got, l.GetValue())
		}
		if strings.Join(got, "|") == strings.Join(labels, "|") {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue(), true
		}
	}
	return 0, false
}

func TestMetrics(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	requests := &ops.Requests{}
	for _, status := range []int{200, 204, 404, 0, 999} {
		requests.Served(true, status)
	}
	requests.Served(false, 503)
	answers := &ops.Answers{}
	answers.Count(make([]byte, 900), true)
	answers.Count(make([]byte, 900), false)
	answers.Count(make([]byte, 900), false)
	for _, status := range []byte{1, 3, 6, 6, 77} {
		answers.Count([]byte{0x30, 3, 0x0a, 1, status}, false)
	}
	list := crl.List{Issuer: "issuing", Number: 17, ThisUpdate: now.Add(-18 * time.Hour), NextUpdate: now.Add(54 * time.Hour), Entries: 3}
	h := handler(t, ops.Config{
		Version: "v1", Checks: []ops.Check{fine, {Name: "list", Look: func(context.Context) error { return errors.New("old") }}},
		Lists: func() []crl.Health {
			return []crl.Health{
				{Issuer: "issuing", List: list, Size: 812, Waiting: true, Builds: 4, Failures: 2, Targets: []crl.TargetHealth{{Name: "/srv/pki", Number: 16, Trouble: "full"}}},
				{Issuer: "root", Trouble: "sealed"},
				{Issuer: "issuing", Delta: true, List: list},
			}
		},
		Company: func() []fetch.Watched {
			link := fetch.Link{Certificate: &x509.Certificate{}, Issuer: &x509.Certificate{Subject: pkix.Name{CommonName: "Company Root"}}}
			seen := fetch.Watched{Link: link, Last: fetch.Lists{At: now, State: fetch.Failed},
				Newest: &fetch.List{ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate}}
			return []fetch.Watched{seen, {Link: fetch.Link{Certificate: link.Certificate, Issuer: &x509.Certificate{Subject: pkix.Name{CommonName: "Unseen"}}}}}
		},
		Online: func() *ocsp.Health {
			return &ocsp.Health{Kept: 5, Followed: now.Add(-time.Second), Life: 8 * time.Hour}
		},
		Answers: answers,
		Certificates: func() []ops.Certificate {
			return []ops.Certificate{{Name: "issuing", NotAfter: now.Add(time.Minute)}, {Name: "tls", NotAfter: now.Add(-time.Minute)}}
		},
		Ledger: func(context.Context) (int64, error) { return 42, nil }, Requests: requests,
		Enrolments: func() ops.Enrolments { return ops.Enrolments{InProgress: 3, Limit: 32, Refused: 7} },
		Journal:    func() (string, time.Time) { return "disk full", now }, Now: func() time.Time { return now },
	})
	families := metrics(t, h)
	company := []string{ca.Fingerprint(&x509.Certificate{}), "Company Root"}
	tests := []struct {
		name   string
		labels []string
		want   float64
	}{
		{"certportal_build_info", []string{"v1"}, 1},
		{"certportal_ready_check", []string{"list"}, 0}, {"certportal_ready_check", []string{"store"}, 1},
		{"certportal_revocation_list_number", []string{"issuing", "complete"}, 17},
		{"certportal_revocation_list_number", []string{"issuing", "delta"}, 17},
		{"certportal_revocation_list_number", []string{"root", "complete"}, 0},
		{"certportal_revocation_list_age_seconds", []string{"issuing", "complete"}, 18 * 3600},
		{"certportal_revocation_list_seconds_to_next_update", []string{"issuing", "complete"}, 54 * 3600},
		{"certportal_revocation_list_life_ratio", []string{"issuing", "complete"}, 0.25},
		{"certportal_revocation_list_entries", []string{"issuing", "complete"}, 3},
		{"certportal_revocation_list_size_bytes", []string{"issuing", "complete"}, 812},
		{"certportal_revocation_list_waiting", []string{"issuing", "complete"}, 1},
		{"certportal_revocation_list_trouble", []string{"root", "complete"}, 1},
		{"certportal_revocation_list_target_number", []string{"issuing", "complete", "/srv/pki"}, 16},
		{"certportal_revocation_list_target_trouble", []string{"issuing", "complete", "/srv/pki"}, 1},
		{"certportal_company_list_life_ratio", company, 0.25}, {"certportal_company_list_seconds_to_next_update", company, 54 * 3600},
		{"certportal_company_list_trouble", company, 1},
		{"certportal_ocsp_kept_answers", nil, 5}, {"certportal_ocsp_followed_seconds", nil, 1}, {"certportal_ocsp_trouble", nil, 1},
		{"certportal_ocsp_answer_life_seconds", nil, 8 * 3600},
		{"certportal_revocation_list_builds_total", []string{"issuing"}, 4}, {"certportal_revocation_list_build_errors_total", []string{"issuing"}, 2},
		{"certportal_ocsp_answers_total", []string{"shared"}, 1}, {"certportal_ocsp_answers_total", []string{"single"}, 2},
		{"certportal_ocsp_answers_total", []string{"unauthorized"}, 2}, {"certportal_ocsp_answers_total", []string{"try_later"}, 1},
		{"certportal_ocsp_answers_total", []string{"malformed_request"}, 1}, {"certportal_ocsp_answers_total", []string{"internal_error"}, 1},
		{"certportal_certificate_seconds_to_end", []string{"issuing"}, 60}, {"certportal_certificate_seconds_to_end", []string{"tls"}, -60},
		{"certportal_ledger_head", nil, 42}, {"certportal_journal_trouble", nil, 1},
		{"certportal_enrolments_in_progress", nil, 3}, {"certportal_enrolments_limit", nil, 32}, {"certportal_enrolments_refused_total", nil, 7},
		{"certportal_http_requests_total", []string{"2xx", "https"}, 2}, {"certportal_http_requests_total", []string{"none", "https"}, 2},
		{"certportal_http_requests_total", []string{"5xx", "http"}, 1},
	}
	for _, tt := range tests {
		if got, ok := value(families, tt.name, tt.labels...); !ok || got != tt.want {
			t.Errorf("%s%v: got %v, %v, want %v", tt.name, tt.labels, got, ok, tt.want)
		}
	}
	if _, ok := value(families, "certportal_revocation_list_age_seconds", "root", "complete"); ok {
		t.Error("a list that is not there has an age")
	}
	if _, ok := value(families, "certportal_company_list_trouble", company[0], "Unseen"); ok {
		t.Error("a list that was not checked yet is in order or in trouble")
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

// While the database hangs, metrics answer with the figures that need none: they are there
// before the database lets go.
func TestMetricsWhileTheDatabaseHangs(t *testing.T) {
	released := make(chan struct{})
	hangs := func() { <-released }
	h := handler(t, ops.Config{
		Checks: []ops.Check{fine, {Name: "hung", Look: func(context.Context) error { hangs(); return nil }}},
		Ledger: func(context.Context) (int64, error) { hangs(); return 42, nil }, Requests: &ops.Requests{},
	})
	for range 3 {
		families := metrics(t, h)
		for name, want := range map[string]float64{"store": 1, "hung": 0} {
			if got, ok := value(families, "certportal_ready_check", name); !ok || got != want {
				t.Errorf("%s: got %v, %v, want %v", name, got, ok, want)
			}
		}
		if families["certportal_http_requests_total"] == nil || families["certportal_ledger_head"] != nil {
			t.Error("the figures are others than those that need no database")
		}
	}
	close(released)
	testkit.Eventually(t, "all figures", func() bool {
		families := metrics(t, h)
		hung, _ := value(families, "certportal_ready_check", "hung")
		head, _ := value(families, "certportal_ledger_head")
		return hung == 1 && head == 42
	})
}

// Optional metrics are omitted when not configured, and a failing database does not fail
// the scrape.
func TestMetricsOfABarePortal(t *testing.T) {
	families := metrics(t, handler(t, ops.Config{
		Checks: []ops.Check{fine}, Online: func() *ocsp.Health { return nil },
		Ledger: func(context.Context) (int64, error) { return 0, errors.New("no database") },
	}))
	for _, name := range []string{"certportal_ledger_head", "certportal_ocsp_kept_answers", "certportal_http_requests_total"} {
		if families[name] != nil {
			t.Errorf("got %s", name)
		}
	}
	if families["certportal_build_info"] == nil {
		t.Error("nothing is told")
	}
}
