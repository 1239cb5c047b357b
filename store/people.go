package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// rememberPerson keeps how the directory calls somebody who is about to get a
// certificate, so that staff finds it by name. Mostly nothing has changed.
func (t *tx) rememberPerson(ctx context.Context, r enroll.Reservation) error {
	name, upn := sqldb.Cleaned(r.Name), sqldb.Cleaned(r.Subject.UPN)
	touched, err := t.Exec(ctx, "UPDATE people SET name = $2, upn = $3 WHERE id = $1 AND (name <> $2 OR upn <> $3)",
		string(r.Person), name, upn)
	if err != nil {
		return fmt.Errorf("remembering name of %q: %w", r.Person, err)
	}
	if touched == 0 {
		return nil
	}
	if _, err := t.Exec(ctx, "DELETE FROM person_words WHERE person = $1", string(r.Person)); err != nil {
		return fmt.Errorf("forgetting words of %q: %w", r.Person, err)
	}
	for _, word := range admin.NameWords(name, upn) {
		_, err := t.Exec(ctx, "INSERT INTO person_words (word, person) VALUES ($1, $2)", word, string(r.Person))
		if err != nil {
			return fmt.Errorf("remembering words of %q: %w", r.Person, err)
		}
	}
	return nil
}

// PersonCalled finds who was called by this UPN when they last got a certificate. The
// error wraps enroll.ErrNotFound when that is nobody, and enroll.ErrConflict when it is
// more than one: names are given to others in time.
func (db Search) PersonCalled(ctx context.Context, upn string) (portal.PersonID, error) {
	var found []portal.PersonID
	if !sqldb.Storable(upn) {
		return "", fmt.Errorf("finding person: %w", portal.ErrNotFound)
	}
	err := db.All(ctx, "SELECT w.person, p.upn FROM person_words w JOIN people p ON p.id = w.person WHERE w.word = $1",
		[]any{admin.Fold(upn)}, func(rows *sql.Rows) error {
			var id portal.PersonID
			var called string
			err := rows.Scan(&id, &called)
			if admin.Fold(called) == admin.Fold(upn) {
				found = append(found, id)
			}
			return err
		})
	switch {
	case err != nil:
		return "", fmt.Errorf("finding person: %w", err)
	case len(found) == 0:
		return "", fmt.Errorf("finding person: %w", portal.ErrNotFound)
	case len(found) > 1:
		return "", fmt.Errorf("finding person: %d are called so: %w", len(found), portal.ErrConflict)
	}
	return found[0], nil
}
