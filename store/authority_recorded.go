package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// RecordFirstCA records the first issuing CA of an installation, which the detail "issuing"
// of the entry names by its fingerprint. Of replicas that start together on an empty
// database one succeeds: the error is portal.ErrConflict where another CA is recorded. It
// adds nothing where the same one is.
func (db AuditLog) RecordFirstCA(ctx context.Context, e audit.Entry) error {
	return db.write(ctx, "noting "+string(e.Action), func(ctx context.Context, t *tx) error {
		// Every entry needs the head, so none is added between reading and adding.
		if _, err := t.reserveNumbers(ctx, 0); err != nil {
			return err
		}
		known, err := recordedCAs(func(query string, args []any, scan func(*sql.Rows) error) error {
			return t.All(ctx, query, args, scan)
		})
		switch {
		case err != nil:
			return err
		case slices.Contains(known, e.Detail["issuing"]):
			return nil
		case len(known) > 0:
			return portal.ErrConflict
		}
		return t.append(ctx, e)
	})
}

// RecordedCAs gives the fingerprints of the issuing CAs that the audit log knows as created
// or imported, in the order of their entries.
func (db AuditLog) RecordedCAs(ctx context.Context) ([]string, error) {
	known, err := recordedCAs(func(query string, args []any, scan func(*sql.Rows) error) error {
		// Such entries are few, but finding them reads all others.
		return db.AllWithin(ctx, workWithin, query, args, scan)
	})
	if err != nil {
		return nil, fmt.Errorf("looking for CAs in the audit log: %w", err)
	}
	return known, nil
}

func recordedCAs(all func(query string, args []any, scan func(*sql.Rows) error) error) ([]string, error) {
	var known []string
	err := all("SELECT detail FROM ledger WHERE action IN ($1, $2) ORDER BY seq", []any{string(audit.CACreated), string(audit.CAImported)},
		func(rows *sql.Rows) error {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			var detail map[string]string
			err := json.Unmarshal([]byte(text), &detail)
			if of := detail["issuing"]; of != "" {
				known = append(known, of)
			}
			return err
		})
	return known, err
}
