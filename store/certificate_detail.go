package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// CertificateDetail reads all that is known of one certificate. The error wraps
// portal.ErrNotFound when there is none.
func (db Search) CertificateDetail(ctx context.Context, serial ca.Serial, now time.Time) (admin.CertificateDetail, error) {
	d, err := db.detail(ctx, serial, now)
	if err == nil && d.State == admin.Revoked {
		err = errors.Join(db.revocationDetail(ctx, &d), db.elsewhereDetail(ctx, &d))
	}
	if err != nil {
		return admin.CertificateDetail{}, fmt.Errorf("reading certificate %s: %w", serial, err)
	}
	return d, nil
}

func (db Search) detail(ctx context.Context, serial ca.Serial, now time.Time) (admin.CertificateDetail, error) {
	var r listedRow
	var d admin.CertificateDetail
	var delivered, reason, unlisted sql.NullInt64
	err := db.One(ctx, `SELECT `+rowColumns+`, c.profile, c.sid, c.mail, c.delivered_at, c.reason_code, `+lastUnlisted+`, c.der
		FROM certificates c`+listedJoins+`WHERE c.serial = $1`, []any{serial.String()},
		append(r.fields(), &d.Profile, &d.SID, &d.Mail, &delivered, &reason, &unlisted, &d.DER)...)
	if err != nil {
		return d, err
	}
	d.Certificate, err = r.value(now)
	d.Delivered, d.Reason, d.ListsUntil = sqldb.TimeOf(delivered), int(reason.Int64), sqldb.TimeOf(unlisted)
	return d, err
}

// revocationDetail adds which CRL names a revoked certificate, and what the audit
// log says about its revocation.
func (db Search) revocationDetail(ctx context.Context, d *admin.CertificateDetail) error {
	var seq int64
	var issuer string
	err := db.One(ctx, "SELECT COALESCE(authority, issuer), seq FROM revocations WHERE serial = $1", []any{d.Serial.String()}, &issuer, &seq)
	if errors.Is(err, portal.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding revocation: %w", err)
	}
	var this, next, published sql.NullInt64
	var number int64
	err = db.One(ctx, `SELECT number, this_update, next_update, published_at FROM crls
		WHERE issuer = $1 AND through >= $2 ORDER BY through, number LIMIT 1`, []any{issuer, seq}, &number, &this, &next, &published)
	switch {
	case err == nil && d.NotAfter.After(sqldb.TimeOf(this).Add(-sqldb.TimeOf(next).Sub(sqldb.TimeOf(this)))):
		d.ListedIn, d.ListedAt = number, sqldb.TimeOf(published)
	case err != nil && !errors.Is(err, portal.ErrNotFound):
		return fmt.Errorf("finding list: %w", err)
	}
	return db.revokerOf(ctx, d, seq)
}

// revokerOf reads the audit entry of a revocation. Revocations from before entries
// and revocations shared a number have the last entry about the certificate's
// revocation.
func (db Search) revokerOf(ctx context.Context, d *admin.CertificateDetail, seq int64) error {
	where, args := "seq = $1", []any{seq}
	if seq < 0 {
		where, args = "substr(object, 1, 64) = $1 AND action = $2", []any{d.Serial.String(), string(audit.CertificateRevoked)}
	}
	var text []byte
	err := db.One(ctx, "SELECT actor, role, detail FROM ledger WHERE "+where+" ORDER BY seq DESC LIMIT 1", args,
		&d.RevokedBy, &d.RevokedRole, &text)
	if errors.Is(err, portal.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding its audit entry: %w", err)
	}
	var detail map[string]string
	// A damaged entry is reported by the verification of the audit log.
	if json.Unmarshal(text, &detail) == nil {
		d.Comment = detail["comment"]
	}
	return nil
}

// elsewhereDetail adds what the CA of a certificate said about its revocation, where the
// portal does not run that CA.
func (db Search) elsewhereDetail(ctx context.Context, d *admin.CertificateDetail) error {
	if d.Elsewhere = isUpstream(d.Issuer); !d.Elsewhere {
		return nil
	}
	var done, listed, update, absent, until sql.NullInt64
	err := db.One(ctx, `SELECT done_at, done_by, tries, detail, listed_at, listed_in, listed_number, listed_update, listed_online, absent_update, absent_until
		FROM upstream_revocations WHERE serial = $1 AND authority = $2`,
		[]any{d.Serial.String(), d.Issuer}, &done, &d.ConfirmedBy, &d.Tries, &d.Obstacle,
		&listed, &d.Named.In, &d.Named.Number, &update, &d.Named.Online, &absent, &until)
	if errors.Is(err, portal.ErrNotFound) {
		return nil // it was never issued
	}
	if err != nil {
		return fmt.Errorf("finding revocation at %s: %w", d.Issuer, err)
	}
	d.Confirmed, d.Named.At, d.Named.Update = sqldb.TimeOf(done), sqldb.TimeOf(listed), sqldb.TimeOf(update)
	d.Absent, d.AbsentUntil = sqldb.TimeOf(absent), sqldb.TimeOf(until)
	return nil
}
