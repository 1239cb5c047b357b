package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Status gives the state of a serial of the issuing CA. A revocation counts without
// its certificate too: it may be of one that was issued after the copy that was
// restored. What is reserved is unknown until it is signed.
func (db RevocationLists) Status(ctx context.Context, serial ca.Serial) (ocsp.Status, error) {
	var status sql.NullString
	var at, reason sql.NullInt64
	err := db.One(ctx, `SELECT c.status, COALESCE(r.revoked_at, c.revoked_at), COALESCE(r.reason_code, c.reason_code)
		FROM (SELECT CAST($1 AS TEXT) AS serial) s
		LEFT JOIN certificates c ON c.serial = s.serial AND c.issuer = $2
		LEFT JOIN revocations r ON r.serial = s.serial AND r.issuer = $2`,
		[]any{serial.String(), issuing}, &status, &at, &reason)
	if err != nil {
		return ocsp.Status{}, fmt.Errorf("reading status of %s: %w", serial, err)
	}
	switch {
	case at.Valid:
		return ocsp.Status{State: ocsp.Revoked, At: sqldb.TimeOf(at), Reason: int(reason.Int64)}, nil
	case status.String == string(portal.Issued) || status.String == string(portal.Superseded):
		return ocsp.Status{State: ocsp.Good}, nil
	}
	return ocsp.Status{}, nil
}

// happening is what an entry of the ledger tells of a certificate: the fields of
// certificate and revocation are NULL where it tells of none.
type happening struct {
	seq                               sql.NullInt64
	hash                              []byte
	serial, issuer, recalled, revoker sql.NullString
	notAfter, at, reason, recalledEnd sql.NullInt64
}

// follow reads at most limit entries of the ledger behind a number, with the
// certificate of those that reserve or issue one and the revocation of those that
// tell of one. It gives the last entry it looked at, and the end of the ledger.
func (db RevocationLists) follow(ctx context.Context, after int64, limit int, see func(happening) error) (through, head int64, err error) {
	// The head comes along, so that nothing new takes one statement, and none of two
	// can be older than the other.
	headed := false
	err = db.All(ctx, `SELECT h.seq, l.seq, l.hash, c.serial, c.issuer, c.not_after,
		r.serial, r.issuer, r.revoked_at, r.reason_code, r.not_after
		FROM ledger_head h LEFT JOIN ledger l ON l.seq > $1 AND l.seq <= $2
		LEFT JOIN certificates c ON c.serial = l.object AND l.action IN ($3, $4)
		LEFT JOIN revocations r ON r.serial = l.object AND r.seq = l.seq
		WHERE h.id = 1 ORDER BY l.seq`,
		[]any{after, after + int64(limit), string(audit.CertificateReserved), string(audit.CertificateIssued)},
		func(rows *sql.Rows) error {
			var h happening
			headed = true
			err := rows.Scan(&head, &h.seq, &h.hash, &h.serial, &h.issuer, &h.notAfter,
				&h.recalled, &h.revoker, &h.at, &h.reason, &h.recalledEnd)
			if err != nil || !h.serial.Valid && !h.recalled.Valid {
				return err
			}
			return see(h)
		})
	if err == nil && !headed {
		err = errNoHead
	}
	if err != nil {
		return 0, 0, err
	}
	return max(after, min(head, after+int64(limit))), head, nil
}

// Changes gives the serials of the issuing CA that ledger entries after a number made
// good or revoked, in their order, at most limit entries far, and the last entry looked
// at. ocsp.ErrRewound says that the ledger ends before.
func (db RevocationLists) Changes(ctx context.Context, after int64, limit int) ([]ca.Serial, int64, error) {
	var serials []ca.Serial
	through, head, err := db.follow(ctx, after, limit, func(h happening) error {
		issuer, text := h.issuer, h.serial
		if h.recalled.Valid {
			issuer, text = h.revoker, h.recalled
		}
		if issuer.String != issuing {
			return nil
		}
		serial, err := serialOf(text.String)
		serials = append(serials, serial)
		return err
	})
	if err == nil && head < after {
		err = fmt.Errorf("entry %d of %d: %w", after, head, ocsp.ErrRewound)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("following the ledger: %w", err)
	}
	return serials, through, nil
}

// Records gives what the ledger tells after an entry, in its order: serials reserved
// or issued, revocations, and through, the last entry it looked at. At most limit
// entries are looked at.
func (db RevocationLists) Records(ctx context.Context, after int64, limit int) ([]crl.Record, int64, error) {
	var records []crl.Record
	through, _, err := db.follow(ctx, after, limit, func(h happening) error {
		r := crl.Record{
			Seq: h.seq.Int64, Hash: hex.EncodeToString(h.hash), Issuer: h.issuer.String, NotAfter: sqldb.TimeOf(h.notAfter),
		}
		text := h.serial.String
		if h.recalled.Valid {
			text = h.recalled.String
			r.Issuer, r.NotAfter = h.revoker.String, sqldb.TimeOf(h.recalledEnd)
			r.Revoked, r.Reason = sqldb.TimeOf(h.at), int(h.reason.Int64)
		}
		var err error
		r.Serial, err = serialOf(text)
		records = append(records, r)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("following the ledger: %w", err)
	}
	return records, through, nil
}

// Remembers reports whether the ledger has this entry with this hash.
func (db RevocationLists) Remembers(ctx context.Context, seq int64, hash string) (bool, error) {
	var stored []byte
	err := db.One(ctx, "SELECT hash FROM ledger WHERE seq = $1", []any{seq}, &stored)
	if errors.Is(err, portal.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for ledger entry %d: %w", seq, err)
	}
	return hex.EncodeToString(stored) == hash, nil
}
