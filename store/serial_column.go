package store

import (
	"database/sql"
	"fmt"

	"certportal/ca"
	"certportal/store/sqldb"
)

func serialOf(stored string) (ca.Serial, error) {
	serial, err := ca.ParseSerial(stored)
	if err != nil {
		return ca.Serial{}, fmt.Errorf("reading serial %q: %w", stored, err)
	}
	return serial, nil
}

// optionalSerial is a serial that is NULL when zero.
func optionalSerial(s ca.Serial) sql.NullString {
	if s == (ca.Serial{}) {
		return sql.NullString{}
	}
	return sqldb.Optional(s.String())
}
