package store_test

import (
	"crypto/x509"
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
	"certportal/store"
)

// registrarOn is a whole registrar over a database, with a clock that the test
// moves.
func registrarOn(t *testing.T, db *store.DB, h *ca.Hierarchy, now func() time.Time) *enroll.Registrar {
	t.Helper()
	people := must[*directory.Builtin](t)(directory.NewBuiltin(db))
	log := slog.New(slog.DiscardHandler)
	issuer := must[*ca.Issuer](t)(ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey}))
	profile := must[*ca.Profile](t)(ca.NewProfile(ca.ProfileConfig{Name: "User", CRLURLs: []string{"http://pki.example/crl/issuing.crl"}}))
	return must[*enroll.Registrar](t)(enroll.New(enroll.Config{
		Directory: people, Issuer: issuer, Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: db, Quota: 2, Chain: []*x509.Certificate{h.Issuing}, Now: now, Log: log,
	}))
}

// TestF22_AThousandTaps has one person renew and enrol a thousand times at once, on
// two replicas, out of few forms and many.
func TestF22_AThousandTaps(t *testing.T) {
	const taps, atOnce, quota = 1000, 16, 2
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			ctx, address := t.Context(), engine.address(t)
			plain := plainly(t, engine.driver, address)
			db := &fixture{DB: opened(t, address), plain: plain, address: address, dialect: engine.dialect}
			var clock atomic.Int64
			clock.Store(noon.Unix())
			now := func() time.Time { return time.Unix(clock.Load(), 0).UTC() }
			h := must[*ca.Hierarchy](t)(ca.CreateHierarchy(ca.HierarchyConfig{
				Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
			}, noon))
			replicas := []*enroll.Registrar{registrarOn(t, db.DB, h, now), registrarOn(t, opened(t, address), h, now)}
			people := must[*directory.Builtin](t)(directory.NewBuiltin(db.DB))
			person := must[portal.Person](t)(people.Add(ctx, directory.NewAccount{
				Login: "anna", UPN: "anna@corp.example", Password: "correct horse",
			}, audit.Entry{At: noon, Actor: "test"}))

			ask := func(r *enroll.Registrar, device portal.DeviceID, name, form string) (enroll.Enrolment, error) {
				return r.Enroll(ctx, enroll.Request{
					By: portal.Actor{Person: person.ID, Role: portal.Employee}, Device: device, Renew: device != "", Name: name,
					Platform: portal.Android, Idempotent: form, PickupKey: enroll.PickupKey{1},
				})
			}
			first := must[enroll.Enrolment](t)(ask(replicas[0], "", "phone", "first"))
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
			for _, d := range must[[]portal.Device](t)(db.Devices(ctx, person.ID)) {
				checkHeld(t, db, d.ID)
				if d.Working(now()) {
					working++
				}
			}
			equal(t, "working devices", working, quota)
			var live int
			err := plain.QueryRow("SELECT count(*) FROM certificates WHERE revoked_at IS NULL").Scan(&live)
			if err != nil || live > quota+1 {
				t.Errorf("%d certificates live, want %d devices and one before a renewal at most: %v", live, quota, err)
			}
			entries(t, db)
		})
	}
}

// fetch reads the file of an enrolment whole, as a phone does.
func fetch(t *testing.T, db *fixture, r *enroll.Registrar, e enroll.Enrolment) {
	t.Helper()
	token := enroll.PickupKey{1}.Token(e.Serial)
	file := must[enroll.File](t)(r.OpenFile(t.Context(), token))
	if err := errors.Join(r.ClaimRead(t.Context(), portal.Actor{}, file, token), r.ConfirmRead(t.Context(), token)); err != nil {
		t.Fatal(err)
	}
}
