package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// damageWithin is how long all certificates may take to be read, verified and linted: on an idle
// core a million take about twenty minutes.
const damageWithin = 6 * time.Hour

// Checks are what [AuditLog.Damaged] asks.
type Checks struct {
	Signed func(issuer string, cert *x509.Certificate) bool  // whether a named CA signed a certificate
	Lint   func(issuer string, cert *x509.Certificate) error // of one that it signed. Optional
	List   func(crl.List) error                              // verifies a CRL and its row
}

// Damage is what [AuditLog.Damaged] found.
type Damage struct {
	Damaged []string // not what was signed

	// Unlawful are certificates which a CA signed as they are, against a rule.
	Unlawful []string
}

// damagePage is how many certificates one read takes.
const damagePage = 1000

// Damaged reads every certificate and every newest CRL, and describes at most limit that are not
// what was signed: a CA's signature that does not verify, a row that says another CA, serial,
// account, key or time than its certificate, a CRL that differs from its row, and a revocation
// that the rows of certificate and CRL entry tell differently; and at most limit whose lint
// fails. What a page of the database says of itself is not looked at: see [DB.CheckPages].
//
// It checks between the reads: a read that is open keeps SQLite from resetting its write-ahead
// log, and PostgreSQL from vacuuming.
func (db AuditLog) Damaged(ctx context.Context, checks Checks, limit int) (Damage, error) {
	ctx, cancel := context.WithTimeout(ctx, damageWithin)
	defer cancel()
	d := damage{checks: checks, limit: limit}
	for _, step := range []func(context.Context, AuditLog) error{d.certificates, d.revocations, d.crls} {
		if err := step(ctx, db); err != nil {
			return Damage{}, fmt.Errorf("verifying certificates: %w", err)
		}
	}
	return d.found, nil
}

// damage collects what is found.
type damage struct {
	checks Checks
	limit  int
	found  Damage
}

func (d *damage) add(format string, args ...any) {
	if len(d.found.Damaged) < d.limit {
		d.found.Damaged = append(d.found.Damaged, fmt.Sprintf(format, args...))
	}
}

// lint holds what a CA signed against the rules.
func (d *damage) lint(serial, issuer string, cert *x509.Certificate) {
	if d.checks.Lint == nil || len(d.found.Unlawful) >= d.limit {
		return
	}
	if err := d.checks.Lint(issuer, cert); err != nil {
		d.found.Unlawful = append(d.found.Unlawful, fmt.Sprintf("certificate %s of CA %q: %v", serial, issuer, err))
	}
}

// storedRow is what the row of a certificate says.
type storedRow struct {
	serial, issuer, kind, upn, sid string
	key, der                       []byte
	from, until                    sql.NullInt64
}

// certificates compares all certificates with their rows, page by page.
func (d *damage) certificates(ctx context.Context, db AuditLog) error {
	for after := ""; ; {
		page := make([]storedRow, 0, damagePage)
		err := db.AllWithin(ctx, workWithin, `SELECT c.serial, COALESCE(c.authority, c.issuer), c.kind, c.upn, c.sid, c.key_hash, c.not_before, c.not_after, c.der
			FROM certificates c WHERE c.der IS NOT NULL AND c.serial > $1 ORDER BY c.serial LIMIT $2`, []any{after, damagePage}, func(rows *sql.Rows) error {
			var r storedRow
			err := rows.Scan(&r.serial, &r.issuer, &r.kind, &r.upn, &r.sid, &r.key, &r.from, &r.until, &r.der)
			page = append(page, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range page {
			d.certificate(r)
		}
		if len(page) < damagePage {
			return nil
		}
		last := page[len(page)-1].serial
		if last <= after { // or it would go on for ever
			return fmt.Errorf("certificate %q is not in its place in the database's index: the rest was not read", last)
		}
		after = last
	}
}

// certificate compares a certificate with its row.
func (d *damage) certificate(r storedRow) {
	cert, err := x509.ParseCertificate(r.der)
	if err != nil {
		d.add("certificate %q: %v", r.serial, err)
		return
	}
	recorded, err := ca.ParseSerial(fmt.Sprintf("%x", cert.SerialNumber))
	hash := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	switch {
	case err != nil || recorded.String() != r.serial:
		d.add("certificate %q has serial %x", r.serial, cert.SerialNumber)
		return
	case !d.checks.Signed(r.issuer, cert):
		d.add("certificate %s: the CA %q of its row did not sign what is stored", r.serial, r.issuer)
		return
	case !bytes.Equal(r.key, hash[:]):
		d.add("certificate %s is for another key than its row says", r.serial)
	case !sqldb.TimeOf(r.from).Equal(cert.NotBefore) || !sqldb.TimeOf(r.until).Equal(cert.NotAfter):
		d.add("certificate %s is valid at other times than its row says", r.serial)
	case r.kind == string(portal.KindUser) && !ca.NamesAccount(cert, r.upn, r.sid):
		d.add("certificate %s is for another account than its row says", r.serial)
	}
	d.lint(r.serial, r.issuer, cert)
}

// revocations notes certificates that their two rows tell differently.
func (d *damage) revocations(ctx context.Context, db AuditLog) error {
	return db.AllWithin(ctx, damageWithin, `SELECT c.serial FROM certificates c JOIN revocations r ON r.serial = c.serial
		WHERE c.revoked_at IS NULL OR c.revoked_at <> r.revoked_at OR c.reason_code <> r.reason_code OR c.not_after <> r.not_after
		ORDER BY c.serial`, nil, func(rows *sql.Rows) error {
		var serial string
		if err := rows.Scan(&serial); err != nil {
			return err
		}
		d.add("certificate %s: its row and its entry for CRLs say different things", serial)
		return nil
	})
}

// crls verifies the CRLs that are kept, one by one: each can have a million entries.
func (d *damage) crls(ctx context.Context, db AuditLog) error {
	type key struct {
		issuer string
		delta  bool
		number int64
	}
	var kept []key
	err := db.AllWithin(ctx, workWithin, `SELECT l.issuer, l.delta, l.number FROM crls l WHERE l.der IS NOT NULL ORDER BY l.issuer, l.number`, nil, func(rows *sql.Rows) error {
		var k key
		err := rows.Scan(&k.issuer, &k.delta, &k.number)
		kept = append(kept, k)
		return err
	})
	if err != nil {
		return err
	}
	for _, k := range kept {
		l := crl.List{Issuer: k.issuer, Number: k.number}
		var this, next sql.NullInt64
		err := db.AllWithin(ctx, workWithin, `SELECT base, this_update, next_update, der FROM crls
			WHERE issuer = $1 AND delta = $2 AND number = $3 AND der IS NOT NULL`, []any{k.issuer, k.delta, k.number}, func(rows *sql.Rows) error {
			return rows.Scan(&l.Base, &this, &next, &l.DER)
		})
		if err != nil {
			return err
		}
		if l.DER == nil {
			continue // a newer one came in between
		}
		l.ThisUpdate, l.NextUpdate = sqldb.TimeOf(this), sqldb.TimeOf(next)
		if err := d.checks.List(l); err != nil {
			d.add("CRL %d of %q: %v", l.Number, l.Issuer, err)
		}
	}
	return nil
}
