package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// registrarOn is a whole registrar over a database, with a clock that the test
// moves.
func registrarOn(t *testing.T, db *store.DB, h *ca.Hierarchy, now func() time.Time) *enroll.Registrar {
	t.Helper()
	people := testkit.Must(directory.NewBuiltin(db))(t)
	log := slog.New(slog.DiscardHandler)
	return testkit.Must(enroll.New(enroll.Config{
		Directory: people, Issuer: fixture.Issuer(t, h), Profile: fixture.UserProfile(t), Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: db, Quota: 2, Chain: fixture.Chain(h), Now: now, Log: log,
	}))(t)
}

// TestF22_AThousandTaps has one person renew and enrol a thousand times at once, on
// two replicas, out of few forms and many.
func TestF22_AThousandTaps(t *testing.T) {
	const atOnce, quota = 16, 2
	taps := 1000
	if testkit.UnderRace {
		taps = 250 // a sample: "scripts/test long" tries all
	}
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			ctx, address := t.Context(), engine.address(t)
			plain := connect(t, engine.driver, address)
			db := &database{DB: opened(t, address), plain: plain, address: address, dialect: engine.dialect}
			var clock atomic.Int64
			clock.Store(testkit.Noon.Unix())
			now := func() time.Time { return time.Unix(clock.Load(), 0).UTC() }
			h := testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{
				Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
			}, testkit.Noon))(t)
			replicas := []*enroll.Registrar{registrarOn(t, db.DB, h, now), registrarOn(t, opened(t, address), h, now)}
			people := testkit.Must(directory.NewBuiltin(db.DB))(t)
			person := testkit.Must(people.Add(ctx, directory.NewAccount{
				Login: "anna", UPN: "anna@corp.example", Password: "correct horse",
			}, audit.Entry{At: testkit.Noon, Actor: "test"}))(t)

			ask := func(r *enroll.Registrar, device portal.DeviceID, name, form string) (enroll.Enrolment, error) {
				return r.Enroll(ctx, enroll.Request{
					By: portal.Actor{Person: person.ID, Role: portal.Employee}, Device: device, Renew: device != "", Name: name,
					Platform: portal.Android, Idempotent: form, PickupKey: enroll.PickupKey{1},
				})
			}
			first := testkit.Must(ask(replicas[0], "", "phone", "first"))(t)
			fetch(t, db, replicas[0], first)
			clock.Add(int64(310 * 24 * time.Hour / time.Second))

			var waiting sync.WaitGroup
			free := make(chan struct{}, atOnce)
			for i := range taps {
				free <- struct{}{}
				waiting.Go(func() {
					defer func() { <-free }()
					device, name := first.Device, ""
					if i%3 == 0 {
						device, name = "", fmt.Sprint("tablet ", i%21)
					}
					form := fmt.Sprint("form ", i%3 == 0, i%97) // many are sent several times
					_, err := ask(replicas[i%2], device, name, form)
					var refusal *portal.Refusal
					if err != nil && !errors.As(err, &refusal) && !errors.Is(err, portal.ErrConflict) {
						t.Errorf("tap %d: %v", i, err)
					}
				})
			}
			waiting.Wait()
			working := 0
			for _, d := range testkit.Must(db.Devices(ctx, person.ID))(t) {
				checkHeld(t, db, d.ID)
				if d.Working(now()) {
					working++
				}
			}
			testkit.Equal(t, "working devices", working, quota)
			var live int
			err := plain.QueryRow("SELECT count(*) FROM certificates WHERE revoked_at IS NULL").Scan(&live)
			if err != nil || live > quota+1 {
				t.Errorf("%d certificates live, want %d devices and one before a renewal at most: %v", live, quota, err)
			}
			fixture.Entries(t, db)
		})
	}
}

// fetch reads the whole file of an enrolment, as a phone does.
func fetch(t *testing.T, db *database, r *enroll.Registrar, e enroll.Enrolment) {
	t.Helper()
	token := enroll.PickupKey{1}.Token(e.Serial)
	file := testkit.Must(r.OpenFile(t.Context(), token))(t)
	if err := errors.Join(r.ClaimRead(t.Context(), portal.Actor{}, file, token), r.ConfirmRead(t.Context(), token)); err != nil {
		t.Fatal(err)
	}
}
