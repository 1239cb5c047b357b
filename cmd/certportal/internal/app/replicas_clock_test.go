package app

import (
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// wrongClock is wrong by the duration it holds.
type wrongClock struct{ off atomic.Int64 }

func (c *wrongClock) now() time.Time { return time.Now().Add(time.Duration(c.off.Load())) }

// openOff opens a portal on a machine with that clock.
func openOff(t *testing.T, data string, environ map[string]string, clock *wrongClock) (*App, error) {
	t.Helper()
	s := testkit.Must(config.Load("", environ))(t)
	s.Data, s.Listen, s.ListenHTTP, s.ListenOps, s.ListenCheck = data, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	term := &config.Terminal{In: strings.NewReader(""), Out: io.Discard}
	p, err := openAt(t.Context(), Program{Version: "test"}, s, term, slog.New(slog.DiscardHandler), clock.now)
	if err != nil {
		return p, errors.Join(err, p.Close())
	}
	t.Cleanup(func() { p.Close() })
	return p, nil
}

func (p *App) hasAlert(t *testing.T, key string) bool {
	t.Helper()
	return slices.ContainsFunc(p.doctor.Alerts(t.Context()), func(a admin.Alert) bool { return a.Key == key })
}

// A replica whose clock is twenty minutes off issues nothing, revokes nothing, publishes no
// list and is not ready, until its clock is right.
func TestF8_ReplicaWithAnotherClock(t *testing.T) {
	environ := onPostgres(t)
	data := t.TempDir()
	a := testkit.Must(openWith(t, data, environ))(t)
	serveUntilEnd(t, a)
	people := employees(t, a, 2)
	for n, off := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			other, clock := t.TempDir(), &wrongClock{}
			copyCA(t, data, other)
			clock.off.Store(int64(off))
			b := testkit.Must(openOff(t, other, environ, clock))(t)
			serveUntilEnd(t, b)
			fresh := testkit.Must(a.enrolment(t, people[n], "phone"))(t)

			_, err := b.enrolment(t, people[n], "other phone")
			var outage *portal.Outage
			if !errors.As(err, &outage) || outage.Part != portal.PartIssuer {
				t.Errorf("enrolling: %v, want an outage of the issuer", err)
			}
			testkit.NoError(t, b.sweep(t.Context()))
			if err := b.Registrar.Sweep(t.Context(), clock.now()); err == nil {
				t.Error("it swept")
			}
			testkit.Equal(t, "the fresh certificate is", testkit.Must(a.DB.Status(t.Context(), fresh.Serial))(t).State, ocsp.Good)
			if _, err := b.lists.PublishNow(t.Context(), localca.IssuingName); err == nil {
				t.Error("it published a list")
			}
			list := testkit.Must(x509.ParseRevocationList(fetched(t, b.Public.HTTP.String()+"/crl/issuing.crl")))(t)
			if apart := time.Since(list.ThisUpdate); apart < 0 || apart > 15*time.Minute {
				t.Errorf("its list is of %s ago", apart)
			}
			code, body := b.onOps(t, "/readyz")
			testkit.Equal(t, "readiness", code, http.StatusServiceUnavailable)
			testkit.Contains(t, "readiness", body, "clock: this machine's clock is 20m0s")
			_, body = b.onOps(t, "/readyz/plain")
			testkit.Contains(t, "readiness for plain http", body, "clock: this machine's clock is 20m0s")
			if !b.hasAlert(t, "clock-stops") || b.hasAlert(t, "sealed") {
				t.Error("the alert is another one")
			}

			clock.off.Store(int64(10 * time.Second))
			b.clock.check(t.Context())
			if !b.hasAlert(t, "clock-apart") {
				t.Error("ten seconds are no alert")
			}
			testkit.NoError(t, b.doctor.Ready()[1].Look(t.Context()))
			clock.off.Store(0)
			b.clock.check(t.Context())
			testkit.Must(b.enrolment(t, people[n], "other phone"))(t)
			b.refreshTLS(t.Context())
			testkit.Equal(t, "temporary TLS certificate", b.tls.temporary.Load(), false)
			if b.hasAlert(t, "clock-apart") || b.hasAlert(t, "clock-stops") {
				t.Error("the alert stays")
			}
		})
	}
}

// On an empty database a machine with a wrong clock makes no CA: its dates would be in it
// for years.
func TestF8_WrongClockMakesNoCA(t *testing.T) {
	clock := &wrongClock{}
	clock.off.Store(int64(24 * time.Hour))
	_, err := openOff(t, t.TempDir(), onPostgres(t), clock)
	if err == nil {
		t.Fatal("it started")
	}
	testkit.Contains(t, "the refusal", err.Error(), "no CA is created: this machine's clock is 24h0m0s ahead of the database's")
}
