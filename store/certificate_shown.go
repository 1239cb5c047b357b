package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Shown finds the device that a certificate was issued for, with that very certificate in
// it, and when it was last shown to the check address.
func (db Enrolments) Shown(ctx context.Context, serial ca.Serial) (portal.Device, enroll.LastShown, error) {
	var verdict sql.NullString
	var at sql.NullInt64
	device, err := scanDevice(func(into ...any) error {
		return db.One(ctx, `SELECT s.verdict, s.shown_at, `+deviceColumns+`, `+certificateColumns+`
			FROM certificates c JOIN devices d ON d.id = c.device_id LEFT JOIN shown_certificates s ON s.serial = c.serial
			WHERE c.serial = $1 AND c.der IS NOT NULL`, []any{serial.String()}, append([]any{&verdict, &at}, into...)...)
	})
	if err != nil {
		return portal.Device{}, enroll.LastShown{}, fmt.Errorf("finding device of %s: %w", serial, err)
	}
	return device, enroll.LastShown{Verdict: portal.Verdict(verdict.String), At: sqldb.TimeOf(at)}, nil
}

// NoteShown records the last time that a certificate was shown. One that works is noted as
// delivered, as a device holds its key, and as seen to work, the latter with the entry.
func (db Enrolments) NoteShown(ctx context.Context, serial ca.Serial, last enroll.LastShown, entry audit.Entry) error {
	return db.write(ctx, "recording a shown certificate", func(ctx context.Context, t *tx) error {
		if err := t.lockOwners(ctx, []ca.Serial{serial}); err != nil {
			return err
		}
		changed, err := t.Exec(ctx, `INSERT INTO shown_certificates (serial, verdict, shown_at) VALUES ($1, $2, $3)
			ON CONFLICT (serial) DO UPDATE SET verdict = excluded.verdict, shown_at = excluded.shown_at
			WHERE shown_certificates.shown_at <= excluded.shown_at - $4 OR shown_certificates.verdict <> excluded.verdict`,
			serial.String(), string(last.Verdict), last.At.UnixMilli(), enroll.ShownEvery.Milliseconds())
		if err != nil || changed == 0 || last.Verdict != portal.VerdictWorks {
			return err // another request was first
		}
		if _, err = t.Exec(ctx, "UPDATE certificates SET delivered_at = $2 WHERE serial = $1 AND delivered_at IS NULL AND status = 'issued'",
			serial.String(), last.At.UnixMilli()); err != nil {
			return err
		}
		works, err := t.noteWorks(ctx, serial, portal.ProofShown, last.At, entry)
		if err != nil {
			return err
		}
		return t.appendRecords(ctx, records(works...)...)
	})
}

// Use gives how a certificate of a person is used.
func (db Enrolments) Use(ctx context.Context, serial ca.Serial) (enroll.Use, error) {
	var u enroll.Use
	var verdict sql.NullString
	var read, shown, earlier, asked sql.NullInt64
	err := db.One(ctx, `SELECT COALESCE(p.reads, 0), p.last_read, s.verdict, s.shown_at, a.asked_at,
			(SELECT max(o.shown_at) FROM certificates e JOIN shown_certificates o ON o.serial = e.serial
				WHERE e.device_id = c.device_id AND (e.requested_at, e.serial) < (c.requested_at, c.serial))
		FROM certificates c LEFT JOIN pickups p ON p.serial = c.serial LEFT JOIN shown_certificates s ON s.serial = c.serial
			LEFT JOIN asked_certificates a ON a.serial = c.serial
		WHERE c.serial = $1 AND c.device_id IS NOT NULL`, []any{serial.String()}, &u.Downloads, &read, &verdict, &shown, &asked, &earlier)
	if err != nil {
		return enroll.Use{}, fmt.Errorf("finding use of %s: %w", serial, err)
	}
	u.LastDownload, u.Asked, u.Earlier = sqldb.TimeOf(read), sqldb.TimeOf(asked), sqldb.TimeOf(earlier)
	u.LastShown = enroll.LastShown{Verdict: portal.Verdict(verdict.String), At: sqldb.TimeOf(shown)}
	return u, nil
}
