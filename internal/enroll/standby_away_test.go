package enroll_test

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"testing"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// standby is the synchronous standby of a database, which may be away.
type standby struct {
	t     *testing.T
	admin *sql.DB
}

// startWithStandby starts a server whose commits may have to wait for a standby.
func startWithStandby(t *testing.T) (address string, s standby) {
	t.Helper()
	server := &pgtest.Server{Options: []string{"wal_level=replica", "max_wal_senders=2"}}
	t.Cleanup(server.Stop)
	address = server.Database(t)
	s = standby{t, testkit.Must(sql.Open("pgx", address))(t)}
	t.Cleanup(func() { s.admin.Close() })
	t.Cleanup(s.back) // or the database could not be emptied
	return address, s
}

func (s standby) set(names string) {
	ctx := context.WithoutCancel(s.t.Context())
	testkit.Must(s.admin.ExecContext(ctx, "ALTER SYSTEM SET synchronous_standby_names = '"+names+"'"))(s.t)
	testkit.Must(s.admin.ExecContext(ctx, "SELECT pg_reload_conf()"))(s.t)
}

func (s standby) back() { s.set("") }

// leave cuts the standby off and returns when commits wait for it.
func (s standby) leave() {
	s.set("absent")
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil { // until the server has read its settings
			_, _ = s.admin.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS waits (id int); DROP TABLE waits")
		}
	}()
	testkit.Eventually(s.t, "a commit waits", func() bool {
		var waiting int
		testkit.NoError(s.t, s.admin.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'").Scan(&waiting))
		return waiting > 0
	})
	cancel()
	<-done
}

// cutOff is a store whose standby is cut off before a certificate is recorded. One that died
// then ends nothing any more.
type cutOff struct {
	enroll.Store
	standby standby
	dies    bool
}

func (c cutOff) Complete(ctx context.Context, done enroll.Completion) error {
	c.standby.leave()
	return c.Store.Complete(ctx, done)
}

func (c cutOff) Revoke(ctx context.Context, r enroll.Revocation) ([]ca.Serial, error) {
	if c.dies {
		return nil, context.Canceled
	}
	return c.Store.Revoke(ctx, r)
}

// TestF5_NothingOutWithoutTheStandby: the primary is cut off from its standby after a device's
// renewal is reserved. PostgreSQL shows the completion to readers once the portal stops to wait
// for it, and a promoted standby lacks it: so it is not given out, to this request and to one
// that comes again, until a later write is on the standby.
func TestF5_NothingOutWithoutTheStandby(t *testing.T) {
	for _, dies := range []bool{false, true} {
		t.Run(map[bool]string{false: "it is ended", true: "the portal dies"}[dies], func(t *testing.T) {
			address, standby := startWithStandby(t)
			one, _ := replicas(t, address)
			id, holder := one.scepDevice("Phone")
			first := one.device(id).Certificate.Serial
			one.Clock.Advance(310 * day)
			cut := one.NewRegistrar(func(c *enroll.Config) { c.Store = cutOff{c.Store, standby, dies} })
			key := testkit.ECKey(t).Public()
			cert, err := cut.Renew(t.Context(), portal.Actor{}, holder, key)
			wantStoreOutage(t, "renewing", cert, err)
			if !dies {
				standby.back()
				testkit.Eventually(t, "the new one is ended", func() bool { return fixture.Count(one.Entries(), audit.CertificateRevoked) == 1 })
				return
			}
			testkit.Eventually(t, "it can be read", func() bool {
				return one.device(id).Certificate.Serial != first && one.device(id).Certificate.Status == portal.Issued
			})
			cert, err = one.Renew(t.Context(), portal.Actor{}, holder, key)
			wantStoreOutage(t, "renewing again", cert, err)
			cert, err = one.HandOut(t.Context(), one.device(id).Certificate)
			wantStoreOutage(t, "handing out", cert, err)
			standby.back()
			again := testkit.Must(one.Renew(t.Context(), portal.Actor{}, holder, key))(t)
			testkit.Equal(t, "serial", testkit.Must(ca.SerialOf(again.SerialNumber))(t), one.device(id).Certificate.Serial)
			testkit.Must(one.HandOut(t.Context(), one.device(id).Certificate))(t)
		})
	}
}

func wantStoreOutage(t *testing.T, what string, cert *x509.Certificate, err error) {
	t.Helper()
	var outage *portal.Outage
	if cert != nil || !errors.As(err, &outage) || outage.Part != portal.PartStore {
		t.Fatalf("%s: got a certificate %v, %v, want an outage of the store", what, cert != nil, err)
	}
}

// TestF5_HandOut holds that a certificate is handed out as it is recorded, while it works.
func TestF5_HandOut(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		p, _ := replicas(t, address)
		id, cert := p.scepDevice("Phone")
		kept := p.device(id).Certificate
		testkit.Equal(t, "same certificate", testkit.Must(p.HandOut(t.Context(), kept))(t).Equal(cert), true)
		testkit.NoError(t, p.DB.Confirm(t.Context(), kept.Serial, kept.DER))
		if err := p.DB.Confirm(t.Context(), kept.Serial, kept.DER[1:]); !errors.Is(err, portal.ErrConflict) {
			t.Errorf("other bytes: %v, want a conflict", err)
		}
		testkit.Must(p.DB.Revoke(t.Context(), enroll.Revocation{
			Serials: []ca.Serial{kept.Serial}, Cause: portal.Lost, At: p.Clock.Now(), Entry: fixture.NewEntry(p.Clock.Now(), audit.CertificateRevoked, p.anna.ID),
		}))(t)
		if _, err := p.HandOut(t.Context(), kept); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("revoked: %v, want not found", err)
		}
	})
}
