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

// damageWithin is how long all certificates may take to be read and verified: a million in
// minutes.
const damageWithin = time.Hour

// Damaged reads every certificate and every newest CRL, and describes at most limit that are not
// what was signed: a CA's signature that does not verify, a row that says another CA, serial,
// account, key or time than its certificate, a CRL that differs from its row, and a revocation
// that the rows of certificate and CRL entry tell differently. signed verifies that a named CA
// signed a certificate, and list verifies a CRL and its row. What a page of the database says
// of itself is not looked at: see [DB.CheckPages].
func (db AuditLog) Damaged(ctx context.Context, signed func(issuer string, cert *x509.Certificate) bool, list func(crl.List) error, limit int) ([]string, error) {
	d := damage{signed: signed, list: list, limit: limit}
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
			return nil, fmt.Errorf("verifying certificates: %w", err)
		}
	}
	return d.found, nil
}

// damage collects what is found.
type damage struct {
	signed func(issuer string, cert *x509.Certificate) bool
	list   func(crl.List) error
	limit  int
	found  []string
}

func (d *damage) add(format string, args ...any) {
	if len(d.found) < d.limit {
		d.found = append(d.found, fmt.Sprintf(format, args...))
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
	case !d.signed(issuer, cert):
		d.add("certificate %s: the CA %q of its row did not sign what is stored", serial, issuer)
	case !bytes.Equal(key, hash[:]):
		d.add("certificate %s is for another key than its row says", serial)
	case !sqldb.TimeOf(from).Equal(cert.NotBefore) || !sqldb.TimeOf(until).Equal(cert.NotAfter):
		d.add("certificate %s is valid at other times than its row says", serial)
	case kind == string(portal.KindUser) && !ca.NamesAccount(cert, upn, sid):
		d.add("certificate %s is for another account than its row says", serial)
	}
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
	if err := d.list(l); err != nil {
		d.add("CRL %d of %q: %v", l.Number, l.Issuer, err)
	}
	return nil
}
