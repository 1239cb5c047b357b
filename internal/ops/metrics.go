package ops

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/fetch"
)

// scrapePatience is how long a scrape waits for the database: while it hangs, the figures that
// need none are answered all the same, within a second.
const scrapePatience = 700 * time.Millisecond

// collector is a prometheus.Collector that reads all values when they are scraped.
type collector struct {
	c     Config
	ready *readiness

	build, readyCheck                                *prometheus.Desc
	listNumber, listAge, listLeft, listLife          *prometheus.Desc
	listEntries, listSize, listTrouble, listWaiting  *prometheus.Desc
	targetNumber, targetTrouble, builds, failures    *prometheus.Desc
	answers, kept, followed, onlineTrouble, lifetime *prometheus.Desc
	certificate, ledger, requests, journal           *prometheus.Desc
	enrolling, enrolLimit, enrolBusy                 *prometheus.Desc
	companyLeft, companyLife, companyTrouble         *prometheus.Desc
}

// newMetrics returns the handler of /metrics. Its own registry keeps out metrics that
// libraries register globally.
func newMetrics(c Config, ready *readiness) (http.Handler, error) {
	m := &collector{c: c, ready: ready}
	m.describe()
	registry := prometheus.NewRegistry()
	for _, part := range []prometheus.Collector{
		m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(part); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}), nil
}

// describe creates the descriptors.
func (m *collector) describe() {
	name := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("certportal_"+name, help, labels, nil)
	}
	list := func(short, help string) *prometheus.Desc {
		return name("revocation_list_"+short, help, "issuer", "kind")
	}
	m.build = name("build_info", "Always 1; the label is the version.", "version")
	m.readyCheck = name("ready_check", "1 when a check of /readyz is in order, 0 when it is red.", "check")
	m.listNumber = list("number", "Number of the revocation list in force; 0 when there is none.")
	m.listAge = list("age_seconds", "Seconds since thisUpdate of the revocation list in force.")
	m.listLeft = list("seconds_to_next_update", "Seconds until the revocation list in force runs out; negative afterwards.")
	m.listLife = list("life_ratio", "Share of the life of the revocation list in force that is over; 1 when it ran out.")
	m.listEntries = list("entries", "Entries of the revocation list in force.")
	m.listSize = list("size_bytes", "Size of the revocation list in force, in DER.")
	m.listTrouble = list("trouble", "1 while the revocation list cannot be made or loaded.")
	m.listWaiting = list("waiting", "1 while a revocation stands in no list yet.")
	m.targetNumber = name("revocation_list_target_number", "Number of the list that was last copied to the target.", "issuer", "kind", "target")
	m.targetTrouble = name("revocation_list_target_trouble", "1 while the list cannot be copied to the target.", "issuer", "kind", "target")
	m.builds = name("revocation_list_builds_total", "Times that this process made lists of the issuer.", "issuer")
	m.failures = name("revocation_list_build_errors_total", "Times that this process could not make a list of the issuer.", "issuer")
	company := func(short, help string) *prometheus.Desc {
		return name("company_list_"+short, help, "issuer", "certificate")
	}
	m.companyLeft = company("seconds_to_next_update", "Seconds until the last known list of a company's CA about a certificate of the chain runs out; negative afterwards.")
	m.companyLife = company("life_ratio", "Share of the life of that list that is over; 1 when it ran out.")
	m.companyTrouble = company("trouble", "1 while that list cannot be fetched or used, or names the certificate as revoked.")
	m.answers = name("ocsp_answers_total", "Online answers: for everybody, for one who asked, or why there was none.", "result")
	m.kept = name("ocsp_kept_answers", "Signed online answers in memory.")
	m.followed = name("ocsp_followed_seconds", "Seconds since the online answers last saw the records.")
	m.onlineTrouble = name("ocsp_trouble", "1 while online answers cannot be signed or do not follow the records.")
	m.lifetime = name("ocsp_answer_life_seconds", "How long an online answer is valid.")
	m.certificate = name("certificate_seconds_to_end", "Seconds until a certificate of the portal ends; negative afterwards.", "certificate")
	m.ledger = name("ledger_head", "Number of the last entry of the audit log.")
	m.journal = name("journal_trouble", "1 while the journal beside the database cannot be written.")
	m.enrolling = name("enrolments_in_progress", "Enrolments in progress for which the portal makes the key.")
	m.enrolLimit = name("enrolments_limit", "How many of them may be in progress; more are refused.")
	m.enrolBusy = name("enrolments_refused_total", "Enrolments refused because too many were in progress.")
	m.requests = name("http_requests_total", "Requests answered, by side and class of status.", "side", "class")
}

// Describe sends nothing, so that the collector is unchecked: its metrics depend on the
// configuration.
func (m *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(m.build, 1, m.c.Version)
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	head := m.ledgerHead(ctx)
	for _, r := range m.ready.soon(ctx) {
		gauge(m.readyCheck, one(r.OK), r.Name)
	}
	m.collectLists(gauge, count)
	m.collectCompany(gauge)
	m.collectOnline(gauge, count)
	if m.c.Certificates != nil {
		for _, c := range m.c.Certificates() {
			gauge(m.certificate, c.NotAfter.Sub(m.c.Now()).Seconds(), c.Name)
		}
	}
	if seq, ok := head(); ok {
		gauge(m.ledger, float64(seq))
	}
	if m.c.Journal != nil {
		text, _ := m.c.Journal()
		gauge(m.journal, one(text != ""))
	}
	if m.c.Enrolments != nil {
		e := m.c.Enrolments()
		gauge(m.enrolling, float64(e.InProgress))
		gauge(m.enrolLimit, float64(e.Limit))
		count(m.enrolBusy, e.Refused)
	}
	if m.c.Requests != nil {
		m.c.Requests.each(func(served uint64, side, class string) { count(m.requests, served, side, class) })
	}
}

func (m *collector) collectLists(gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	if m.c.Lists == nil {
		return
	}
	now := m.c.Now()
	for _, h := range m.c.Lists() {
		if !h.Delta { // both kinds are built together
			count(m.builds, h.Builds, h.Issuer)
			count(m.failures, h.Failures, h.Issuer)
		}
		labels := []string{h.Issuer, kindOf(h)}
		gauge(m.listNumber, float64(h.List.Number), labels...)
		gauge(m.listTrouble, one(h.Trouble != ""), labels...)
		gauge(m.listWaiting, one(h.Waiting), labels...)
		for _, t := range h.Targets {
			at := append(labels[:2:2], t.Name)
			gauge(m.targetNumber, float64(t.Number), at...)
			gauge(m.targetTrouble, one(t.Trouble != ""), at...)
		}
		if h.List.Number == 0 {
			continue // without a CRL there is no age
		}
		age, life := now.Sub(h.List.ThisUpdate).Seconds(), h.List.NextUpdate.Sub(h.List.ThisUpdate).Seconds()
		gauge(m.listAge, age, labels...)
		gauge(m.listLeft, life-age, labels...)
		gauge(m.listLife, age/max(life, 1), labels...)
		gauge(m.listEntries, float64(h.List.Entries), labels...)
		gauge(m.listSize, float64(h.Size), labels...)
	}
}

// collectCompany leaves out what was not checked yet.
func (m *collector) collectCompany(gauge func(*prometheus.Desc, float64, ...string)) {
	if m.c.Company == nil {
		return
	}
	for _, w := range m.c.Company() {
		if !w.Checked() {
			continue
		}
		labels := []string{w.Issuer.Subject.CommonName, ca.Fingerprint(w.Certificate)}
		gauge(m.companyTrouble, one(w.Last.State == fetch.Failed), labels...)
		if w.Newest == nil {
			continue
		}
		age, life := m.c.Now().Sub(w.Newest.ThisUpdate).Seconds(), w.Newest.NextUpdate.Sub(w.Newest.ThisUpdate).Seconds()
		gauge(m.companyLeft, life-age, labels...)
		gauge(m.companyLife, age/max(life, 1), labels...)
	}
}

func kindOf(h crl.Health) string {
	if h.Delta {
		return "delta"
	}
	return "complete"
}

func (m *collector) collectOnline(gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	if m.c.Answers != nil {
		m.c.Answers.each(func(answered uint64, result string) { count(m.answers, answered, result) })
	}
	if m.c.Online == nil {
		return
	}
	h := m.c.Online()
	if h == nil {
		return
	}
	gauge(m.kept, float64(h.Kept))
	gauge(m.onlineTrouble, one(h.Trouble != "" || h.Signer == nil))
	gauge(m.lifetime, h.Life.Seconds())
	if !h.Followed.IsZero() {
		gauge(m.followed, m.c.Now().Sub(h.Followed).Seconds())
	}
}

// ledgerHead asks for the number of the last entry, and gives a function that waits for it
// until the context ends: false when the database fails or is late, which ready_check reports.
func (m *collector) ledgerHead(ctx context.Context) func() (int64, bool) {
	if m.c.Ledger == nil {
		return func() (int64, bool) { return 0, false }
	}
	found := make(chan int64, 1)
	go func() {
		if head, err := m.c.Ledger(ctx); err == nil {
			found <- head
		}
		close(found)
	}()
	return func() (int64, bool) {
		select {
		case head, ok := <-found:
			return head, ok
		case <-ctx.Done():
			return 0, false
		}
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
