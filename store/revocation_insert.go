package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
)

// errNoAuditEntry refuses to commit a revocation without an audit entry: it would
// have no number in the order that CRLs and OCSP answers follow.
var errNoAuditEntry = errors.New("certificate was ended without an audit entry")

// unknownEnd is used as the end of a certificate of which nothing but its revocation
// is known: it stays listed.
var unknownEnd = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// record is an audit entry, and the revocation it reports, if it reports one.
type record struct {
	audit.Entry
	revoked *revocation
}

// revocation is a row of the table of revocations but for its number.
type revocation struct {
	serial, issuer string
	at             int64
	reason         int
	notAfter       int64
}

// records makes records of entries that report no revocation.
func records(entries ...audit.Entry) []record {
	all := make([]record, len(entries))
	for i, e := range entries {
		all[i].Entry = e
	}
	return all
}

// revoke makes the record of a revocation. The transaction does not commit before
// [tx.appendRecords] wrote it.
func (t *tx) revoke(e audit.Entry, r revocation) record {
	if t.ended == nil {
		t.ended = make(map[string]bool)
	}
	t.ended[r.serial] = true
	return record{Entry: e, revoked: &r}
}

// appendRecords appends the entries to the audit log, then writes the revocations
// they report, each under the number of its entry.
func (t *tx) appendRecords(ctx context.Context, all ...record) error {
	entries := make([]audit.Entry, len(all))
	for i, r := range all {
		entries[i] = r.Entry
	}
	first, err := t.appendNumbered(ctx, entries)
	if err != nil {
		return err
	}
	for i, r := range all {
		if r.revoked == nil {
			continue
		}
		if r.Object != r.revoked.serial {
			return fmt.Errorf("recording revocation of %s: %w", r.revoked.serial, errNoAuditEntry)
		}
		if err := t.insertRevocation(ctx, first+int64(i), *r.revoked); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) insertRevocation(ctx context.Context, seq int64, r revocation) error {
	issuer, authority := kindOf(r.issuer)
	_, err := t.Exec(ctx, `INSERT INTO revocations (issuer, authority, seq, serial, revoked_at, reason_code, not_after)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, issuer, authority, seq, r.serial, r.at, r.reason, r.notAfter)
	if err != nil {
		return fmt.Errorf("recording revocation of %s: %w", r.serial, err)
	}
	delete(t.ended, r.serial)
	return (upstreamTx{t}).ask(ctx, r)
}
