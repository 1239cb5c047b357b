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

// Status returns the state of a serial of an issuing CA. A revocation counts
// without its certificate too: it may have been issued after the copy that was
// restored. A reserved certificate is unknown until it is signed.
func (db RevocationLists) Status(ctx context.Context, serial ca.Serial) (ocsp.Status, error) {
	var status, issuer sql.NullString
	var at, reason sql.NullInt64
	err := db.One(ctx, `SELECT c.status, COALESCE(r.revoked_at, c.revoked_at), COALESCE(r.reason_code, c.reason_code),
			COALESCE(c.authority, r.authority, c.issuer, r.issuer)
		FROM (SELECT CAST($1 AS TEXT) AS serial) s
		LEFT JOIN certificates c ON c.serial = s.serial AND c.issuer = $2
		LEFT JOIN revocations r ON r.serial = s.serial AND r.issuer = $2`,
		[]any{serial.String(), issuing}, &status, &at, &reason, &issuer)
	if err != nil {
		return ocsp.Status{}, fmt.Errorf("reading status of %s: %w", serial, err)
	}
	switch {
	case at.Valid:
		return ocsp.Status{Issuer: issuer.String, State: ocsp.Revoked, At: sqldb.TimeOf(at), Reason: int(reason.Int64)}, nil
	case status.String == string(portal.Issued) || status.String == string(portal.Superseded):
		return ocsp.Status{Issuer: issuer.String, State: ocsp.Good}, nil
	}
	return ocsp.Status{}, nil
}

// logChange is what an audit entry changed about a certificate: the fields of
// certificate and revocation are NULL where it changed nothing.
type logChange struct {
	seq                               sql.NullInt64
	hash                              []byte
	serial, issuer, recalled, revoker sql.NullString
	notAfter, at, reason, recalledEnd sql.NullInt64
}

// readChanges reads at most limit entries of the audit log behind a number, with the
// certificate that an entry reserves or issues and the revocation it reports. It
// returns the last entry it looked at, and the end of the log.
func (db RevocationLists) readChanges(ctx context.Context, after int64, limit int, see func(logChange) error) (through, head int64, err error) {
	// The head is in the same statement, so that both are of one moment, and so that
	// finding nothing new takes only one.
	headed := false
	err = db.All(ctx, `SELECT h.seq, l.seq, l.hash, c.serial, COALESCE(c.authority, c.issuer), c.not_after,
		r.serial, COALESCE(r.authority, r.issuer), r.revoked_at, r.reason_code, r.not_after
		FROM ledger_head h LEFT JOIN ledger l ON l.seq > $1 AND l.seq <= $2
		LEFT JOIN certificates c ON c.serial = l.object AND l.action IN ($3, $4)
		LEFT JOIN revocations r ON r.serial = l.object AND r.seq = l.seq
		WHERE h.id = 1 ORDER BY l.seq`,
		[]any{after, after + int64(limit), string(audit.CertificateReserved), string(audit.CertificateIssued)},
		func(rows *sql.Rows) error {
			var h logChange
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

// Changes returns the serials of all issuing CAs that audit entries behind a number
// made good or revoked, in their order, at most limit entries far, and the last
// entry looked at. ocsp.ErrRewound says that the log ends before that number.
func (db RevocationLists) Changes(ctx context.Context, after int64, limit int) ([]ca.Serial, int64, error) {
	var serials []ca.Serial
	through, head, err := db.readChanges(ctx, after, limit, func(h logChange) error {
		issuer, text := h.issuer, h.serial
		if h.recalled.Valid {
			issuer, text = h.revoker, h.recalled
		}
		if issuer.String == root || isUpstream(issuer.String) {
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
		return nil, 0, fmt.Errorf("following the audit log: %w", err)
	}
	return serials, through, nil
}

// Records returns what the audit log says after an entry, in its order: serials
// reserved or issued, revocations, and through, the last entry it looked at. It
// looks at at most limit entries.
func (db RevocationLists) Records(ctx context.Context, after int64, limit int) ([]crl.Record, int64, error) {
	var records []crl.Record
	through, _, err := db.readChanges(ctx, after, limit, func(h logChange) error {
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
		return nil, 0, fmt.Errorf("following the audit log: %w", err)
	}
	return records, through, nil
}

// HasEntry reports whether the audit log has this entry with this hash.
func (db RevocationLists) HasEntry(ctx context.Context, seq int64, hash string) (bool, error) {
	var stored []byte
	err := db.One(ctx, "SELECT hash FROM ledger WHERE seq = $1", []any{seq}, &stored)
	if errors.Is(err, portal.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for audit entry %d: %w", seq, err)
	}
	return hex.EncodeToString(stored) == hash, nil
}
