package autotls_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/autotls"
	"certportal/internal/test/pebble"
	"certportal/internal/test/testkit"
)

func issued(s *pebble.Server) int { return strings.Count(s.Log(), "Issued certificate serial") }

// record is what the store holds.
func (in *installation) record(t *testing.T, s *pebble.Server) autotls.Record {
	t.Helper()
	return testkit.Must(in.db.ACMERecord(t.Context(), autotls.ID(s.Directory, []string{host, checkHost})))(t)
}

// put changes the certificate in the store, as a restored database would.
func (in *installation) put(t *testing.T, s *pebble.Server, c autotls.Sealed) {
	t.Helper()
	id, now := autotls.ID(s.Directory, []string{host, checkHost}), in.now()
	testkit.NoError(t, in.db.LeaseACME(t.Context(), id, "test", now, now.Add(time.Minute)))
	testkit.NoError(t, in.db.KeepACME(t.Context(), id, "test", c, audit.Entry{At: now, Action: audit.TLSOrdered, Actor: "system", Role: "system"}))
}

// inFolder returns the serial number of the copy.
func inFolder(folder string, at time.Time) string {
	served := autotls.Served(folder, []string{host, checkHost}, at)
	if served == nil {
		return ""
	}
	return served.SerialNumber.Text(16)
}

// TestOlderInStore: a store that was put back to before a renewal does not replace the renewed
// certificate, but gets it again without an order. A newer one of another replica is taken over.
func TestOlderInStore(t *testing.T) {
	in := newInstallation(t)
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port, Validity: time.Hour})
	one, two := filepath.Join(t.TempDir(), "tls"), filepath.Join(t.TempDir(), "tls")
	start := func(folder string) *autotls.Manager {
		return in.replica(t, s, func(c *autotls.Config) { c.Folder = folder })
	}
	first := leaf(t, start(one))
	testkit.Equal(t, "of the other replica", leaf(t, start(two)), first)
	old := in.record(t, s).Sealed
	s.Stop()
	s = pebble.Start(t, pebble.Config{HTTPPort: in.port, Port: s.Port}) // for 90 days
	in.shift.Store(int64(50 * time.Minute))
	second := leaf(t, start(one))
	if second == "" || second == first {
		t.Fatalf("serial number %q after %q\n%s", second, first, s.Log())
	}
	testkit.Equal(t, "taken over by the other replica", leaf(t, start(two)), second)
	renewed := string(in.record(t, s).Chain)

	running := start(one)
	for _, c := range []struct {
		what  string
		row   autotls.Sealed
		shift time.Duration
	}{{"older", old, 50 * time.Minute}, {"none", autotls.Sealed{}, 50 * time.Minute}, {"ended", old, 70 * time.Minute}} {
		for who, m := range map[string]*autotls.Manager{"running": running, "restarted": start(one)} {
			in.shift.Store(int64(c.shift))
			in.put(t, s, c.row)
			testkit.Equal(t, c.what+": in use, "+who, leaf(t, m), second)
			testkit.Equal(t, c.what+": in the folder, "+who, inFolder(one, in.now()), second)
			testkit.Equal(t, c.what+": in the store, "+who, string(in.record(t, s).Chain), renewed)
			testkit.Equal(t, c.what+": failure, "+who, failure(t, m), autotls.Failure{})
		}
	}
	testkit.Equal(t, "orders", issued(s), 1)

	in.put(t, s, old)
	third := leaf(t, in.replica(t, s, nil))
	if third == "" || third == first || third == second {
		t.Errorf("a new replica beside an ended certificate uses %q", third)
	}
	testkit.Equal(t, "taken over afterwards", leaf(t, running), third)
}

// refusing is a store that takes no certificate.
type refusing struct {
	autotls.Store
	keep, fail error
	kept       int // calls
}

func (r *refusing) KeepACME(ctx context.Context, id, holder string, c autotls.Sealed, entry audit.Entry) error {
	if r.kept++; r.keep != nil {
		return r.keep
	}
	return r.Store.KeepACME(ctx, id, holder, c, entry)
}

func (r *refusing) FailACME(ctx context.Context, id, holder string, f autotls.Failure) error {
	if r.fail != nil {
		return r.fail
	}
	return r.Store.FailACME(ctx, id, holder, f)
}

// TestStoreRefuses: a certificate that the store did not take is in use, and recorded later
// without another order.
func TestStoreRefuses(t *testing.T) {
	for what, fail := range map[string]error{"audit log": nil, "outage": errors.New("no store")} {
		t.Run(what, func(t *testing.T) {
			in := newInstallation(t)
			s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
			broken := &refusing{Store: in.db, keep: errors.New("the audit log is altered"), fail: fail}
			same := filepath.Join(t.TempDir(), "tls")
			start := func() *autotls.Manager {
				return in.replica(t, s, func(c *autotls.Config) { c.Folder, c.Store = same, broken })
			}
			m := start()
			first := leaf(t, m)
			testkit.Equal(t, "in the folder", inFolder(same, in.now()), first)
			testkit.Equal(t, "before the pause is over", leaf(t, m), first)
			testkit.Equal(t, "tries to record it", broken.kept, 1)
			if fail == nil {
				wantFailure(t, m, "not yet recorded", "audit log is altered")
				reason, kept := failure(t, m).NotKept()
				testkit.Equal(t, "reason", reason, "the audit log is altered")
				testkit.Equal(t, "a failure to record", kept, true)
				in.shift.Add(int64(5 * time.Minute))
				testkit.Equal(t, "after the pause", leaf(t, m), first)
				testkit.Equal(t, "tries", failure(t, m).Tries, 2)
			}
			broken.keep, broken.fail = nil, nil
			in.shift.Add(int64(10 * time.Minute))
			testkit.Equal(t, "after a restart", leaf(t, start()), first)
			testkit.Equal(t, "failure", failure(t, m), autotls.Failure{})
			testkit.Equal(t, "of another replica", leaf(t, in.replica(t, s, nil)), first)
			testkit.Equal(t, "orders", issued(s), 1)
			entries := testkit.Must(in.db.Entries(t.Context(), 0, 10))(t)
			if len(entries) != 1 || entries[0].Object != first {
				t.Errorf("audit log: %+v", entries)
			}
		})
	}
}

// hanging is a store that stops to answer while the portal stops.
type hanging struct {
	autotls.Store
	stop  func()
	ended chan error // what was left of the time to record the failure
}

func (h hanging) AddHTTPChallenge(context.Context, string, string, time.Time) error {
	h.stop()
	return nil
}

func (h hanging) EndHTTPChallenge(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

func (h hanging) FailACME(ctx context.Context, _, _ string, _ autotls.Failure) error {
	h.ended <- ctx.Err()
	return ctx.Err()
}

// TestStopWhileStoreHangs: what is recorded at the end shares one time, so that the portal
// stops.
func TestStopWhileStoreHangs(t *testing.T) {
	in := newInstallation(t)
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	h := hanging{in.db, stop, make(chan error, 1)}
	m := in.replica(t, s, func(c *autotls.Config) { c.Store = h })
	m.Run(ctx)
	if err := <-h.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the second record begins with %v, want no time left", err)
	}
}
