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

// Damaged reads every certificate and every newest CRL, and describes at most limit that are not
// what was signed: a CA's signature that does not verify, a row that says another CA, serial,
// account, key or time than its certificate, a CRL that differs from its row, and a revocation
// that the rows of certificate and CRL entry tell differently; and at most limit whose lint
// fails. What a page of the database says of itself is not looked at: see [DB.CheckPages].
func (db AuditLog) Damaged(ctx context.Context, checks Checks, limit int) (Damage, error) {
	d := damage{checks: checks, limit: limit}
	for _, step := range []struct {
		query string
		scan  func(*sql.Rows) error
	}{
		{`SELECT c.serial, COALESCE(c.authority, c.issuer), c.kind, c.upn, c.sid, c.key_hash, c.not_before, c.not_after, c.der FROM certificates c
			WHERE c.der IS NOT NULL ORDER BY c.serial`, d.certificate},
		{`SELECT c.serial FROM certificates c JOIN revocations r ON r.serial = c.serial
			WHERE c.revoked_at IS NULL OR c.revoked_at <> r.revoked_at OR c.reason_code <> r.reason_code OR c.not_after <> r.not_after
			ORDER BY c.serial`, d.revocation},
		{`SELECT l.issuer, l.number, l.base, l.this_update, l.next_update, l.der FROM crls l WHERE l.der IS NOT NULL ORDER BY l.issuer, l.number`, d.crl},
	} {
		if err := db.AllWithin(ctx, damageWithin, step.query, nil, step.scan); err != nil {
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

// certificate compares a certificate with its row.
func (d *damage) certificate(rows *sql.Rows) error {
	var serial, issuer, kind, upn, sid string
	var key, der []byte
	var from, until sql.NullInt64
	if err := rows.Scan(&serial, &issuer, &kind, &upn, &sid, &key, &from, &until, &der); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		d.add("certificate %q: %v", serial, err)
		return nil
	}
	recorded, err := ca.ParseSerial(fmt.Sprintf("%x", cert.SerialNumber))
	hash := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	switch {
	case err != nil || recorded.String() != serial:
		d.add("certificate %q has serial %x", serial, cert.SerialNumber)
		return nil
	case !d.checks.Signed(issuer, cert):
		d.add("certificate %s: the CA %q of its row did not sign what is stored", serial, issuer)
		return nil
	case !bytes.Equal(key, hash[:]):
		d.add("certificate %s is for another key than its row says", serial)
	case !sqldb.TimeOf(from).Equal(cert.NotBefore) || !sqldb.TimeOf(until).Equal(cert.NotAfter):
		d.add("certificate %s is valid at other times than its row says", serial)
	case kind == string(portal.KindUser) && !ca.NamesAccount(cert, upn, sid):
		d.add("certificate %s is for another account than its row says", serial)
	}
	d.lint(serial, issuer, cert)
	return nil
}

// revocation notes a certificate that its two rows tell differently.
func (d *damage) revocation(rows *sql.Rows) error {
	var serial string
	if err := rows.Scan(&serial); err != nil {
		return err
	}
	d.add("certificate %s: its row and its entry for CRLs say different things", serial)
	return nil
}

// crl verifies a CRL that is kept.
func (d *damage) crl(rows *sql.Rows) error {
	var l crl.List
	var this, next sql.NullInt64
	if err := rows.Scan(&l.Issuer, &l.Number, &l.Base, &this, &next, &l.DER); err != nil {
		return err
	}
	l.ThisUpdate, l.NextUpdate = sqldb.TimeOf(this), sqldb.TimeOf(next)
	if err := d.checks.List(l); err != nil {
		d.add("CRL %d of %q: %v", l.Number, l.Issuer, err)
	}
	return nil
}
