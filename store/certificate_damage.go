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
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// damageWithin is how long all certificates may take to be read and verified: a million in
// minutes.
const damageWithin = time.Hour

// Damaged reads every certificate and every newest CRL, and describes at most limit that are not
// what was signed: a CA's signature that does not verify, a row that says another serial,
// account, key or time than its certificate, and a revocation that the rows of certificate
// and CRL entry tell differently. signed verifies the signature of a certificate, and list that
// of a CRL of a named issuer. What a page of the database says of itself is not looked at: see
// [DB.CheckPages].
func (db AuditLog) Damaged(ctx context.Context, signed func(*x509.Certificate) bool, list func(issuer string, der []byte) error, limit int) ([]string, error) {
	d := damage{signed: signed, list: list, limit: limit}
	for _, step := range []struct {
		query string
		scan  func(*sql.Rows) error
	}{
		{`SELECT c.serial, c.kind, c.upn, c.sid, c.key_hash, c.not_before, c.not_after, c.der FROM certificates c
			WHERE c.der IS NOT NULL ORDER BY c.serial`, d.certificate},
		{`SELECT c.serial FROM certificates c JOIN revocations r ON r.serial = c.serial AND r.reason_code <> 6
			WHERE c.revoked_at IS NULL OR c.revoked_at <> r.revoked_at OR c.reason_code <> r.reason_code OR c.not_after <> r.not_after
			ORDER BY c.serial`, d.revocation},
		{`SELECT l.issuer, l.number, l.der FROM crls l WHERE l.der IS NOT NULL ORDER BY l.issuer, l.number`, d.crl},
	} {
		if err := db.AllWithin(ctx, damageWithin, step.query, nil, step.scan); err != nil {
			return nil, fmt.Errorf("verifying certificates: %w", err)
		}
	}
	return d.found, nil
}

// damage collects what is found.
type damage struct {
	signed func(*x509.Certificate) bool
	list   func(issuer string, der []byte) error
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
	var serial, kind, upn, sid string
	var key, der []byte
	var from, until sql.NullInt64
	if err := rows.Scan(&serial, &kind, &upn, &sid, &key, &from, &until, &der); err != nil {
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
	case !d.signed(cert):
		d.add("certificate %s: no CA of the portal signed what is stored", serial)
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
	var issuer string
	var number int64
	var der []byte
	if err := rows.Scan(&issuer, &number, &der); err != nil {
		return err
	}
	if err := d.list(issuer, der); err != nil {
		d.add("CRL %d of %q: %v", number, issuer, err)
	}
	return nil
}
