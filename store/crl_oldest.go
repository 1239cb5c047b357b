package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca/crl"
	"certportal/store/sqldb"
)

// maxListLifetime bounds the search for the oldest CRL in force. CRLs that live
// longer have no delta CRLs.
const maxListLifetime = 32 * 24 * time.Hour

// Oldest returns the oldest complete CRL of an issuer that is in force at a time,
// without DER; false when there is none.
func (db RevocationLists) Oldest(ctx context.Context, issuer string, now time.Time) (crl.List, bool, error) {
	list := crl.List{Issuer: issuer}
	found := false
	// A number is at least the time in milliseconds at which its lease was taken.
	err := db.All(ctx, `SELECT number, through, this_update, next_update, published_at, entries FROM crls
		WHERE issuer = $1 AND delta = $2 AND number > $3 AND next_update > $4 ORDER BY number LIMIT 1`,
		[]any{issuer, false, now.Add(-maxListLifetime).UnixMilli(), now.UnixMilli()}, func(rows *sql.Rows) error {
			var this, next, published sql.NullInt64
			err := rows.Scan(&list.Number, &list.Through, &this, &next, &published, &list.Entries)
			list.ThisUpdate, list.NextUpdate, list.Published = sqldb.TimeOf(this), sqldb.TimeOf(next), sqldb.TimeOf(published)
			found = err == nil
			return err
		})
	if err != nil {
		return crl.List{}, false, fmt.Errorf("reading oldest list of %s: %w", issuer, err)
	}
	return list, found, nil
}
