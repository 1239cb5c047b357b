package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// lookupBatch is how many serials are looked up with one statement.
	lookupBatch = 200

	// replayBatch is how many revocations are restored in one transaction.
	replayBatch = 100
)

// errIssuer refuses records of a CA that this portal does not have.
var errIssuer = errors.New("not an issuer of this portal")

// Replay records again what is missing after an older copy was restored: it revokes
// certificates that are in force, lists unknown serials as revoked, and raises the
// numbers of CRLs. Each change has its audit entry. It returns how many revocations
// it restored. It changes nothing that is not missing, so it may be repeated.
// Records of one serial, that it was issued and that it was revoked, should come in
// one call: else it is listed with the reason cessationOfOperation.
func (db RevocationLists) Replay(ctx context.Context, records []crl.Record, now time.Time) (int, error) {
	for _, r := range records {
		if r.Issuer != root && r.Issuer != company && !strings.HasPrefix(r.Issuer, issuing) && !isUpstream(r.Issuer) {
			return 0, fmt.Errorf("replaying record %d of issuer %q: %w", r.Seq, r.Issuer, errIssuer)
		}
	}
	numbers, wanted := mergeRecords(records, now)
	missing, err := db.missing(ctx, wanted)
	if err != nil {
		return 0, err
	}
	if err := db.announceReplay(ctx, numbers, len(missing), now); err != nil {
		return 0, err
	}
	restored := 0
	for batch := range slices.Chunk(missing, replayBatch) {
		n, err := db.restoreBatch(ctx, batch, now)
		if err != nil {
			return restored, err
		}
		restored += n
	}
	return restored, nil
}

// mergeRecords separates the numbers of CRLs from serials, and makes one record of
// those of a serial: that of its revocation, if there is one.
func mergeRecords(records []crl.Record, now time.Time) (numbers map[string]int64, wanted []crl.Record) {
	numbers = make(map[string]int64)
	places := make(map[ca.Serial]int)
	for _, r := range records {
		if r.Number > 0 {
			numbers[r.Issuer] = max(numbers[r.Issuer], r.Number)
		}
		if r.Serial == (ca.Serial{}) {
			continue
		}
		place, seen := places[r.Serial]
		if !seen {
			places[r.Serial] = len(wanted)
			wanted = append(wanted, r)
			continue
		}
		known := &wanted[place]
		if known.NotAfter.IsZero() {
			known.NotAfter = r.NotAfter
		}
		if known.Revoked.IsZero() {
			known.Revoked, known.Reason = r.Revoked, r.Reason
		}
	}
	for i := range wanted {
		if wanted[i].Revoked.After(now) {
			wanted[i].Revoked = now // from a clock that was ahead
		}
		wanted[i].Reason = allowedReason(wanted[i].Reason)
	}
	return numbers, wanted
}

// allowedReason is the reason where a CRL may contain it (RFC 5280 section 5.3.1),
// else unspecified: one bad line must not prevent every later CRL.
func allowedReason(reason int) int {
	switch reason {
	case 1, 2, 3, 4, 5, 9, 10:
		return reason
	}
	return 0
}

// missing selects the records that the database lacks: revoked and not in
// revocations, or issued and in neither table.
func (db RevocationLists) missing(ctx context.Context, wanted []crl.Record) ([]crl.Record, error) {
	var missing []crl.Record
	for batch := range slices.Chunk(wanted, lookupBatch) {
		revoked, err := db.knownIn(ctx, "revocations", batch)
		if err != nil {
			return nil, err
		}
		held, err := db.knownIn(ctx, "certificates", batch)
		if err != nil {
			return nil, err
		}
		for _, r := range batch {
			if !revoked[r.Serial] && (!r.Revoked.IsZero() || !held[r.Serial]) {
				missing = append(missing, r)
			}
		}
	}
	return missing, nil
}

// knownIn returns which serials of a batch a table has.
func (db RevocationLists) knownIn(ctx context.Context, table string, batch []crl.Record) (map[ca.Serial]bool, error) {
	args, places := make([]any, lookupBatch), make([]string, lookupBatch)
	for i := range args {
		// A short batch repeats its last serial, so that there is one statement to prepare.
		args[i] = batch[min(i, len(batch)-1)].Serial.String()
		places[i] = "$" + strconv.Itoa(i+1)
	}
	known := make(map[ca.Serial]bool)
	err := db.AllWithin(ctx, workWithin, "SELECT serial FROM "+table+" WHERE serial IN ("+strings.Join(places, ", ")+")", args,
		func(rows *sql.Rows) error {
			var found []ca.Serial
			err := scanSerial(rows, &found)
			known[found[0]] = err == nil
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("looking for serials in %s: %w", table, err)
	}
	return known, nil
}

// announceReplay raises the numbers of CRLs, so that the next is above all that were
// published, and records how many revocations will be restored.
func (db RevocationLists) announceReplay(ctx context.Context, numbers map[string]int64, missing int, now time.Time) error {
	return db.write(ctx, "raising numbers of lists", func(ctx context.Context, t *tx) error {
		detail := map[string]string{}
		for _, issuer := range slices.Sorted(maps.Keys(numbers)) {
			raised, err := t.raise(ctx, issuer, numbers[issuer])
			if err != nil {
				return err
			}
			if raised {
				detail[issuer] = strconv.FormatInt(numbers[issuer], 10)
			}
		}
		if len(detail) == 0 && missing == 0 {
			return nil
		}
		detail["certificates"] = strconv.Itoa(missing)
		entry := replayEntry(now)
		entry.Action, entry.Detail = audit.RecordsReplayed, detail
		return t.append(ctx, entry)
	})
}

// raise brings the last number of an issuer's CRLs up to one that was published, and
// ends a lease whose number is below.
func (t *tx) raise(ctx context.Context, issuer string, number int64) (bool, error) {
	touched, err := t.Exec(ctx, `INSERT INTO crl_numbers (issuer, number) VALUES ($1, $2)
		ON CONFLICT (issuer) DO UPDATE SET number = excluded.number, builder = '', lease_until = 0
		WHERE crl_numbers.number < excluded.number`, issuer, number)
	if err != nil {
		return false, fmt.Errorf("raising number of %s to %d: %w", issuer, number, err)
	}
	return touched == 1, nil
}

func replayEntry(now time.Time) audit.Entry {
	return audit.Entry{At: now, Actor: "system", Role: "system"}
}

// restoreBatch records a batch of missing revocations.
func (db RevocationLists) restoreBatch(ctx context.Context, batch []crl.Record, now time.Time) (int, error) {
	restored := 0
	slices.SortFunc(batch, func(a, b crl.Record) int { return a.Serial.Compare(b.Serial) })
	serials := make([]ca.Serial, len(batch))
	for i, r := range batch {
		serials[i] = r.Serial
	}
	err := db.writeWithin(ctx, workWithin, "replaying revocations", func(ctx context.Context, t *tx) error {
		// Replicas that start together replay one after the other.
		if _, err := t.raise(ctx, issuing, 1); err != nil {
			return err
		}
		if err := t.lockOwners(ctx, serials); err != nil {
			return err
		}
		var all []record
		for _, r := range batch {
			recalled, needed, err := t.restoreRevocation(ctx, r, now)
			if err != nil {
				return err
			}
			if needed {
				all = append(all, recalled)
			}
		}
		restored = len(all)
		return t.appendRecords(ctx, all...)
	})
	if err != nil {
		return 0, err
	}
	return restored, nil
}

// restoreRevocation revokes a certificate that is in force, or lists a serial that
// has no certificate. needed is false when another replica did so first.
func (t *tx) restoreRevocation(ctx context.Context, r crl.Record, now time.Time) (recalled record, needed bool, err error) {
	var revoked bool
	err = t.One(ctx, "SELECT EXISTS (SELECT 1 FROM revocations WHERE serial = $1)", []any{r.Serial.String()}, &revoked)
	if err != nil || revoked {
		return record{}, false, err
	}
	entry := replayEntry(now)
	var status portal.Status
	err = t.One(ctx, "SELECT status FROM certificates WHERE serial = $1", []any{r.Serial.String()}, &status)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return t.revokeUnknown(r, entry), true, nil
	case err != nil:
		return record{}, false, fmt.Errorf("reading status of %s: %w", r.Serial, err)
	case r.Revoked.IsZero():
		return record{}, false, nil
	}
	entry.Detail = map[string]string{"replayed": r.Revoked.UTC().Format(time.RFC3339)}
	recalled, err = t.endAs(ctx, r.Serial, causeOf(r.Reason), r.Reason, r.Revoked, entry)
	return recalled, true, err
}

// revokeUnknown lists a serial without a certificate as revoked: its holder is
// unknown, so it must not work.
func (t *tx) revokeUnknown(r crl.Record, entry audit.Entry) record {
	at, reason, end := r.Revoked, r.Reason, r.NotAfter
	if at.IsZero() {
		at, reason = entry.At, portal.Abandoned.ReasonCode()
	}
	if end.IsZero() {
		end = unknownEnd
	}
	entry.Action, entry.Object = audit.CertificateRecalled, r.Serial.String()
	entry.Detail = map[string]string{"reason": strconv.Itoa(reason), "not-after": end.UTC().Format(time.RFC3339)}
	return t.revoke(entry, revocation{r.Serial.String(), r.Issuer, at.UnixMilli(), reason, end.UnixMilli()})
}

// causeOf returns a cause that has the reason code.
func causeOf(reason int) portal.Cause {
	for _, cause := range []portal.Cause{portal.Lost, portal.Left, portal.Replaced} {
		if cause.ReasonCode() == reason {
			return cause
		}
	}
	return portal.Withdrawn
}
