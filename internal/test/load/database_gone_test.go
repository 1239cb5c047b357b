package load_test

import (
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"
	"time"

	"certportal/internal/test/load"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
)

// The database is away, for a minute in "scripts/test long". Nothing is issued and no sign-in
// succeeds; lists and OCSP answer from the last signed copies. When it is back the portal goes
// on, and no goroutine is left over. How long a refusal took is logged.
func TestF5_DatabaseIsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a quick run")
	}
	var server pgtest.Server
	t.Cleanup(server.Stop)
	database := server.Database(t)
	settings := append(withPeople(t, 2), "CERTPORTAL_DATABASE="+database,
		"CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_KEY=ec-p256")
	p := startPortal(t, settings...)
	b := p.signedIn(1)[0]
	q := p.questions(testkit.Must(b.Enrol(t.Context(), "First phone"))(t).Leaf)
	before := p.idle(t)
	testkit.NoError(t, q.once(t.Context(), 0)) // after the last act on it, which drops the kept answer

	back := server.Away(t)
	var refusals, signIns load.Times
	until := time.Now().Add(time.Duration(testkit.Either(t, 3, 60)) * time.Second)
	for n := 0; n < 1 || time.Now().Before(until); n++ {
		p.refuses(t, b, &refusals, &signIns)
		testkit.NoError(t, q.once(t.Context(), 0))
		status, list, err := p.fetch(t.Context(), "/crl/issuing.crl", nil)
		testkit.NoError(t, err)
		testkit.Equal(t, "status of the list", status, http.StatusOK)
		testkit.NoError(t, testkit.Must(x509.ParseRevocationList(list))(t).CheckSignatureFrom(q.issuing))
	}
	t.Logf("%d refusals, longest: enrolment %.0f ms, sign-in %.0f ms", refusals.Count(), refusals.Percentile(100), signIns.Percentile(100))

	back()
	began := time.Now()
	testkit.Eventually(t, "enrolments go on", func() bool {
		_, err := b.Enrol(t.Context(), fmt.Sprint("Later phone ", rand.Text()))
		return err == nil
	})
	t.Logf("goes on after %s", time.Since(began).Round(10*time.Millisecond))
	testkit.NoError(t, load.NewBrowser(p.https, p.transport).SignIn(t.Context(), person(1), password))
	p.settled(database)
	testkit.Eventually(t, "the goroutines are those of before", func() bool {
		p.disconnect()
		n, err := p.metric("go_goroutines")
		return err == nil && n <= before+4
	})
	t.Logf("%.0f goroutines before, %.0f after", before, p.mustMetric("go_goroutines"))
}

// refuses wants an enrolment and a sign-in with the right password to be refused.
func (p *portal) refuses(t *testing.T, b *load.Browser, enrolments, signIns *load.Times) {
	t.Helper()
	began := time.Now()
	a, _ := b.Ask(t.Context(), "Phone", rand.Text())
	enrolments.Since(began)
	testkit.Equal(t, "status of an enrolment", a.Status, http.StatusServiceUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	began = time.Now()
	a, _ = load.NewBrowser(p.https, p.transport).Post(t.Context(), "/login", "username", person(1), "password", password)
	signIns.Since(began)
	testkit.Equal(t, "status of a sign-in", a.Status, http.StatusServiceUnavailable)
}

// idle waits, without connections, until the number of goroutines changes by a few only, and
// returns the highest of these numbers.
func (p *portal) idle(t *testing.T) (highest float64) {
	t.Helper()
	lowest, steady := 0.0, 0
	testkit.Eventually(t, "the portal is idle", func() bool {
		p.disconnect()
		n, err := p.metric("go_goroutines")
		if err != nil || max(n, highest)-min(n, lowest) > 4 {
			lowest, highest, steady = n, n, 0
			return false
		}
		lowest, highest = min(n, lowest), max(n, highest)
		steady++
		return steady > 50
	})
	return highest
}
