package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/admin"
)

// signerOf is the issuing CA of a certificate c.
const signerOf = "COALESCE(c.authority, c.issuer)"

// AuthorityHolders counts the people and devices with a certificate in use of each issuing CA; one
// that has none is left out. A device has one that is not superseded.
func (db Search) AuthorityHolders(ctx context.Context, now time.Time) (map[string]admin.Holders, error) {
	all := make(map[string]admin.Holders)
	err := db.AllWithin(ctx, workWithin, `SELECT `+signerOf+`, count(DISTINCT c.person), count(*) FROM certificates c
		WHERE c.status = 'issued' AND c.person IS NOT NULL AND c.not_after > $1 GROUP BY `+signerOf, []any{now.UnixMilli()},
		func(rows *sql.Rows) error {
			var name string
			var h admin.Holders
			err := rows.Scan(&name, &h.People, &h.Devices)
			all[name] = h
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("counting holders: %w", err)
	}
	return all, nil
}
