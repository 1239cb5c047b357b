package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// CRLs and OCSP answers follow the audit log: they would miss a revocation without an
// entry.
func TestA12_RevocationWithoutAnAuditEntryIsNotCommitted(t *testing.T) {
	ctx, now := t.Context(), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	db, err := Open(ctx, Config{URL: filepath.Join(t.TempDir(), "portal.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	serial, err := ca.NewSerial(nil)
	if err != nil {
		t.Fatal(err)
	}
	text := serial.String()
	err = db.Reserve(ctx, enroll.Reservation{
		Serial: serial, Kind: portal.KindUser, Profile: "User", Person: "anna", NewDevice: true, Quota: 1,
		NotBefore: now, NotAfter: now.Add(time.Hour), Requested: now,
		Device: portal.Device{ID: "d1", Person: "anna", Name: "iPhone", Platform: portal.IOS, Created: now},
		Entry:  audit.Entry{At: now, Action: audit.CertificateReserved, Actor: "anna", Role: "employee"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		object   string
		recorded bool
		want     error
	}{
		{"no entry", "", false, errNoAuditEntry},
		{"an entry about something else", "device", true, errNoAuditEntry},
		{"its entry", text, true, nil},
	} {
		err := db.write(ctx, "ending", func(ctx context.Context, t *tx) error {
			r, err := t.end(ctx, serial, portal.Lost, now, audit.Entry{At: now, Actor: "system", Role: "system"})
			if err != nil || !c.recorded {
				return err
			}
			r.Object = c.object
			return t.appendRecords(ctx, r)
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		d, err := db.Status(ctx, serial)
		if err != nil || (d.Reason == 1) != (c.want == nil) {
			t.Errorf("%s: status %v, error %v", c.name, d, err)
		}
	}
}
