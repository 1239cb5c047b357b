package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// recordPersonNames records the directory's names of a person who is about to get a
// certificate, so that staff find them by name. Usually nothing has changed.
func (t *tx) recordPersonNames(ctx context.Context, r enroll.Reservation) error {
	name, upn := sqldb.Cleaned(r.Name), sqldb.Cleaned(r.Subject.UPN)
	touched, err := t.Exec(ctx, "UPDATE people SET name = $2, upn = $3 WHERE id = $1 AND (name <> $2 OR upn <> $3)",
		string(r.Person), name, upn)
	if err != nil {
		return fmt.Errorf("remembering name of %q: %w", r.Person, err)
	}
	if touched == 0 {
		return t.recordMailWord(ctx, r)
	}
	if _, err := t.Exec(ctx, "DELETE FROM person_words WHERE person = $1", string(r.Person)); err != nil {
		return fmt.Errorf("forgetting words of %q: %w", r.Person, err)
	}
	for _, word := range admin.NameWords(name, upn, sqldb.Cleaned(r.Subject.Mail)) {
		_, err := t.Exec(ctx, "INSERT INTO person_words (word, person) VALUES ($1, $2)", word, string(r.Person))
		if err != nil {
			return fmt.Errorf("remembering words of %q: %w", r.Person, err)
		}
	}
	return nil
}

// recordMailWord makes a person found by a mail address that is not their UPN.
func (t *tx) recordMailWord(ctx context.Context, r enroll.Reservation) error {
	mail := sqldb.Cleaned(r.Subject.Mail)
	if mail == "" || admin.Fold(mail) == admin.Fold(r.Subject.UPN) {
		return nil
	}
	for _, word := range admin.NameWords("", "", mail) {
		_, err := t.Exec(ctx, "INSERT INTO person_words (word, person) VALUES ($1, $2) ON CONFLICT DO NOTHING", word, string(r.Person))
		if err != nil {
			return fmt.Errorf("remembering mail address of %q: %w", r.Person, err)
		}
	}
	return nil
}

// PersonCalled finds the person who had this UPN when they last got a certificate.
// The error wraps portal.ErrNotFound when there is none, and portal.ErrConflict when
// there are several: UPNs are given to other people in time.
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

// PersonNamed finds a person by their user principal name, or by any name that signs
// in to the built-in directory. portal.ErrNotFound says that the name is unknown or
// belongs to several people.
func (db Search) PersonNamed(ctx context.Context, name string) (portal.PersonID, error) {
	id, err := db.PersonCalled(ctx, name)
	if err == nil || !errors.Is(err, portal.ErrNotFound) && !errors.Is(err, portal.ErrConflict) {
		return id, err
	}
	if !sqldb.Storable(name) {
		return "", fmt.Errorf("finding person: %w", portal.ErrNotFound)
	}
	err = db.One(ctx, "SELECT account FROM account_names WHERE name_key = $1", []any{strings.ToLower(name)}, &id)
	if err != nil {
		return "", fmt.Errorf("finding person: %w", err)
	}
	return id, nil
}

// PersonNames returns the names of people: of those who ever got a certificate, and
// of the accounts of the built-in directory.
func (db Search) PersonNames(ctx context.Context, ids []portal.PersonID) (map[portal.PersonID]string, error) {
	names := make(map[portal.PersonID]string)
	for _, id := range ids {
		if !sqldb.Storable(string(id)) {
			continue
		}
		var name string
		err := db.One(ctx, `SELECT name FROM (SELECT 1 AS place, name FROM accounts WHERE id = $1
			UNION ALL SELECT 2, CASE WHEN name = '' THEN upn ELSE name END FROM people WHERE id = $1) AS n
			WHERE name <> '' ORDER BY place LIMIT 1`, []any{string(id)}, &name)
		if errors.Is(err, portal.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("finding name of %q: %w", id, err)
		}
		names[id] = name
	}
	return names, nil
}

// PeopleCalled lists people one of whose words begins with each word of a text, in the
// order of those words, at most limit, and whether there are, or may be, more: it looks at
// the people of one word, and stops after groupBound of them.
func (db Search) PeopleCalled(ctx context.Context, text string, limit int) (ids []portal.PersonID, more bool, err error) {
	if !sqldb.Storable(text) {
		return nil, false, nil
	}
	find := db.peopleNamed(admin.Filter{Person: text}.PersonWords())
	var from admin.Cursor
	for looked := 0; looked < groupBound; looked += groupBatch {
		groups, err := find(ctx, from, groupBatch)
		if err != nil {
			return nil, false, fmt.Errorf("finding people: %w", err)
		}
		for _, g := range groups {
			switch id := portal.PersonID(g.id); {
			case !g.fits, slices.Contains(ids, id):
			case len(ids) == limit:
				return ids, true, nil
			default:
				ids = append(ids, id)
			}
		}
		if len(groups) < groupBatch {
			return ids, false, nil
		}
		from = groups[len(groups)-1].behind()
	}
	return ids, true, nil
}
