package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"certportal/ca/crl"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Latest returns the newest complete or delta CRL of an issuer; false when there is
// none. DER is left out of a CRL whose number is have, or below.
func (db RevocationLists) Latest(ctx context.Context, issuer string, delta bool, have int64) (crl.List, bool, error) {
	var list crl.List
	found := false
	// A CRL with a million entries has forty megabytes.
	err := db.AllWithin(ctx, workWithin, `SELECT number, base, through, this_update, next_update, published_at, entries,
		CASE WHEN number > $3 THEN der END FROM crls WHERE issuer = $1 AND delta = $2 ORDER BY number DESC LIMIT 1`,
		[]any{issuer, delta, have}, func(rows *sql.Rows) error {
			var this, next, published sql.NullInt64
			list = crl.List{Issuer: issuer}
			err := rows.Scan(&list.Number, &list.Base, &list.Through, &this, &next, &published, &list.Entries, &list.DER)
			list.ThisUpdate, list.NextUpdate, list.Published = sqldb.TimeOf(this), sqldb.TimeOf(next), sqldb.TimeOf(published)
			found = err == nil
			return err
		})
	if err != nil {
		return crl.List{}, false, fmt.Errorf("reading newest list of %s: %w", issuer, err)
	}
	return list, found, nil
}

// Publish stores the CRLs built under a lease, at most a complete and a delta one,
// and ends the lease, in one transaction. crl.ErrOvertaken says that another lease
// began since, or that a CRL does not follow what is published: number, thisUpdate
// and Through never go back. Then nothing is stored, and the lease ends all the
// same.
func (db RevocationLists) Publish(ctx context.Context, turn crl.Lease, lists ...crl.List) error {
	for _, list := range lists {
		if err := checkList(turn, list); err != nil {
			return fmt.Errorf("publishing list of %s: %w", turn.Issuer, err)
		}
	}
	follows := false
	err := db.writeWithin(ctx, workWithin, "publishing list of "+turn.Issuer, func(ctx context.Context, t *tx) error {
		var err error
		if follows, err = t.endLease(ctx, turn); err != nil || !follows {
			return err
		}
		last, err := t.lastList(ctx, turn.Issuer)
		if err != nil {
			return err
		}
		if follows = !slices.ContainsFunc(lists, last.isAfter); !follows {
			return nil
		}
		for _, list := range lists {
			if err := t.insertList(ctx, list, last.until); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && !follows {
		err = fmt.Errorf("publishing list %d of %s: %w", turn.Number, turn.Issuer, crl.ErrOvertaken)
	}
	return err
}

// checkList refuses a CRL that does not belong to its lease.
func checkList(turn crl.Lease, list crl.List) error {
	switch {
	case list.Issuer != turn.Issuer || list.Number != turn.Number:
		return fmt.Errorf("list %d of %q is not the one of the turn, %d", list.Number, list.Issuer, turn.Number)
	case list.Base < 0 || list.Base >= list.Number:
		return fmt.Errorf("list %d adds to list %d", list.Number, list.Base)
	case list.Through > turn.Through:
		return fmt.Errorf("list %d reaches entry %d, behind the end of the audit log, %d", list.Number, list.Through, turn.Through)
	case len(list.DER) == 0 || !list.NextUpdate.After(list.ThisUpdate) || list.Published.IsZero():
		return fmt.Errorf("list %d has no content or no times", list.Number)
	}
	return nil
}

// lastList is what the next CRL of an issuer must follow.
type lastList struct{ number, thisUpdate, through, until int64 }

// isAfter reports whether a CRL does not follow the last.
func (l lastList) isAfter(list crl.List) bool {
	return list.Number <= l.number || list.ThisUpdate.UnixMilli() < l.thisUpdate || list.Through < l.through
}

// lastList reads the newest list of either kind. Before the first, anything follows.
func (t *tx) lastList(ctx context.Context, issuer string) (lastList, error) {
	var last lastList
	err := t.One(ctx, `SELECT number, this_update, through, until_at FROM crls
		WHERE issuer = $1 ORDER BY through DESC, number DESC LIMIT 1`,
		[]any{issuer}, &last.number, &last.thisUpdate, &last.through, &last.until)
	if errors.Is(err, portal.ErrNotFound) {
		return lastList{thisUpdate: math.MinInt64, through: math.MinInt64}, nil
	}
	if err != nil {
		return last, fmt.Errorf("reading the list before: %w", err)
	}
	return last, nil
}

// insertList stores a CRL and drops the DER of the one of its kind before it;
// number, times and reach of that are kept.
func (t *tx) insertList(ctx context.Context, list crl.List, until int64) error {
	delta := list.Base > 0
	if !delta {
		until = max(until, list.NextUpdate.UnixMilli())
	}
	_, err := t.Exec(ctx, `INSERT INTO crls
		(issuer, delta, number, base, through, this_update, next_update, published_at, until_at, entries, der)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		list.Issuer, delta, list.Number, list.Base, list.Through, list.ThisUpdate.UnixMilli(), list.NextUpdate.UnixMilli(),
		list.Published.UnixMilli(), until, list.Entries, list.DER)
	if err != nil {
		return fmt.Errorf("storing list %d: %w", list.Number, err)
	}
	_, err = t.Exec(ctx, `UPDATE crls SET der = NULL WHERE issuer = $1 AND delta = $2 AND number =
		(SELECT number FROM crls WHERE issuer = $1 AND delta = $2 AND number < $3 ORDER BY number DESC LIMIT 1)`,
		list.Issuer, delta, list.Number)
	if err != nil {
		return fmt.Errorf("dropping list before %d: %w", list.Number, err)
	}
	return nil
}

// Unlisted reports whether a revocation of the issuer is in no CRL yet; in no
// complete CRL, or with delta in none of either kind.
func (db RevocationLists) Unlisted(ctx context.Context, issuer string, delta bool) (bool, error) {
	const reach = "(SELECT through FROM crls WHERE issuer = $1 AND delta = %s ORDER BY number DESC LIMIT 1)"
	var newest, complete, partial sql.NullInt64
	err := db.One(ctx, "SELECT (SELECT seq FROM revocations WHERE COALESCE(authority, issuer) = $1 ORDER BY seq DESC LIMIT 1), "+
		fmt.Sprintf(reach, "$2")+", "+fmt.Sprintf(reach, "$3"), []any{issuer, false, true}, &newest, &complete, &partial)
	if err != nil {
		return false, fmt.Errorf("looking for revocations by %s: %w", issuer, err)
	}
	listed := complete.Valid && newest.Int64 <= complete.Int64 || delta && partial.Valid && newest.Int64 <= partial.Int64
	return newest.Valid && !listed, nil
}
