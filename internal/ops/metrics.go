package ops

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"certportal/ca/crl"
)

// numbers reads everything at the moment somebody asks: nothing is counted twice, and
// what nobody asks for costs nothing.
type numbers struct {
	c     Config
	ready *readiness

	build, readyCheck                                *prometheus.Desc
	listNumber, listAge, listLeft, listLife          *prometheus.Desc
	listEntries, listSize, listTrouble, listWaiting  *prometheus.Desc
	targetNumber, targetTrouble, builds, failures    *prometheus.Desc
	answers, kept, followed, onlineTrouble, lifetime *prometheus.Desc
	certificate, ledger, requests, journal           *prometheus.Desc
}

// newNumbers is the handler of /metrics, with a registry of its own: nothing that some
// library registers by itself gets out.
func newNumbers(c Config, ready *readiness) (http.Handler, error) {
	n := &numbers{c: c, ready: ready}
	n.describe()
	registry := prometheus.NewRegistry()
	for _, collector := range []prometheus.Collector{
		n, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	}), nil
}

// describe names the numbers.
func (n *numbers) describe() {
	name := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("certportal_"+name, help, labels, nil)
	}
	list := func(short, help string) *prometheus.Desc {
		return name("revocation_list_"+short, help, "issuer", "kind")
	}
	n.build = name("build_info", "Always 1; the label is the version.", "version")
	n.readyCheck = name("ready_check", "1 when a check of /readyz is in order, 0 when it is red.", "check")
	n.listNumber = list("number", "Number of the revocation list in force; 0 when there is none.")
	n.listAge = list("age_seconds", "Seconds since thisUpdate of the revocation list in force.")
	n.listLeft = list("seconds_to_next_update", "Seconds until the revocation list in force runs out; negative afterwards.")
	n.listLife = list("life_ratio", "Share of the life of the revocation list in force that is over; 1 when it ran out.")
	n.listEntries = list("entries", "Entries of the revocation list in force.")
	n.listSize = list("size_bytes", "Size of the revocation list in force, in DER.")
	n.listTrouble = list("trouble", "1 while the revocation list cannot be made or loaded.")
	n.listWaiting = list("waiting", "1 while a revocation stands in no list yet.")
	n.targetNumber = name("revocation_list_target_number", "Number of the list that was last copied to the target.", "issuer", "kind", "target")
	n.targetTrouble = name("revocation_list_target_trouble", "1 while the list cannot be copied to the target.", "issuer", "kind", "target")
	n.builds = name("revocation_list_builds_total", "Times that this process made lists of the issuer.", "issuer")
	n.failures = name("revocation_list_build_errors_total", "Times that this process could not make a list of the issuer.", "issuer")
	n.answers = name("ocsp_answers_total", "Online answers: for everybody, for one who asked, or why there was none.", "result")
	n.kept = name("ocsp_kept_answers", "Signed online answers in memory.")
	n.followed = name("ocsp_followed_seconds", "Seconds since the online answers last saw the records.")
	n.onlineTrouble = name("ocsp_trouble", "1 while online answers cannot be signed or do not follow the records.")
	n.lifetime = name("ocsp_answer_life_seconds", "How long an online answer is valid.")
	n.certificate = name("certificate_seconds_to_end", "Seconds until a certificate of the portal ends; negative afterwards.", "certificate")
	n.ledger = name("ledger_head", "Number of the last entry of the audit log.")
	n.journal = name("journal_trouble", "1 while the journal beside the database cannot be written.")
	n.requests = name("http_requests_total", "Requests answered, by side and class of status.", "side", "class")
}

// Describe says nothing: which numbers there are depends on what is set up.
func (n *numbers) Describe(chan<- *prometheus.Desc) {}

// Collect reads the numbers.
func (n *numbers) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge(n.build, 1, n.c.Version)
	for _, r := range n.ready.look(context.Background()) {
		gauge(n.readyCheck, one(r.OK), r.Name)
	}
	n.collectLists(gauge, count)
	n.collectOnline(gauge, count)
	if n.c.Certificates != nil {
		for _, c := range n.c.Certificates() {
			gauge(n.certificate, c.NotAfter.Sub(n.c.Now()).Seconds(), c.Name)
		}
	}
	n.collectLedger(gauge)
	if n.c.Journal != nil {
		text, _ := n.c.Journal()
		gauge(n.journal, one(text != ""))
	}
	if n.c.Requests != nil {
		n.c.Requests.each(func(served uint64, side, class string) { count(n.requests, served, side, class) })
	}
}

func (n *numbers) collectLists(gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	if n.c.Lists == nil {
		return
	}
	now := n.c.Now()
	for _, h := range n.c.Lists() {
		if !h.Delta { // both kinds are made in one turn
			count(n.builds, h.Builds, h.Issuer)
			count(n.failures, h.Failures, h.Issuer)
		}
		labels := []string{h.Issuer, kindOf(h)}
		gauge(n.listNumber, float64(h.List.Number), labels...)
		gauge(n.listTrouble, one(h.Trouble != ""), labels...)
		gauge(n.listWaiting, one(h.Waiting), labels...)
		for _, t := range h.Targets {
			at := append(labels[:2:2], t.Name)
			gauge(n.targetNumber, float64(t.Number), at...)
			gauge(n.targetTrouble, one(t.Trouble != ""), at...)
		}
		if h.List.Number == 0 {
			continue // an age of no list would look like one
		}
		age, life := now.Sub(h.List.ThisUpdate).Seconds(), h.List.NextUpdate.Sub(h.List.ThisUpdate).Seconds()
		gauge(n.listAge, age, labels...)
		gauge(n.listLeft, life-age, labels...)
		gauge(n.listLife, age/max(life, 1), labels...)
		gauge(n.listEntries, float64(h.List.Entries), labels...)
		gauge(n.listSize, float64(h.Size), labels...)
	}
}

func kindOf(h crl.Health) string {
	if h.Delta {
		return "delta"
	}
	return "complete"
}

func (n *numbers) collectOnline(gauge func(*prometheus.Desc, float64, ...string), count func(*prometheus.Desc, uint64, ...string)) {
	if n.c.Answers != nil {
		n.c.Answers.each(func(answered uint64, result string) { count(n.answers, answered, result) })
	}
	if n.c.Online == nil {
		return
	}
	h := n.c.Online()
	if h == nil {
		return
	}
	gauge(n.kept, float64(h.Kept))
	gauge(n.onlineTrouble, one(h.Trouble != "" || h.Signer == nil))
	gauge(n.lifetime, h.Life.Seconds())
	if !h.Followed.IsZero() {
		gauge(n.followed, n.c.Now().Sub(h.Followed).Seconds())
	}
}

// collectLedger leaves the number out when the database does not give it: ready_check
// tells of that.
func (n *numbers) collectLedger(gauge func(*prometheus.Desc, float64, ...string)) {
	if n.c.Ledger == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	head, err := n.c.Ledger(ctx)
	if err != nil {
		return
	}
	gauge(n.ledger, float64(head))
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
