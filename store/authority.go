package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/store/sqldb"
)

// The column issuer says what kind of CA signed a certificate: the root, or an issuing CA.
// Binaries from before there were several know no more. The column authority names the
// issuing CA where it is not the first.
const (
	root    = "root"
	issuing = "issuing"

	// company is what stands in place of the name of an own root, of the CA certificates
	// that a company's CA issued. The portal makes no list of it.
	company = "company"
)

// kindOf returns the values of the columns issuer and authority.
func kindOf(name string) (issuer string, authority sql.NullString) {
	switch name {
	case root:
		return root, sql.NullString{}
	case company:
		return root, sqldb.Optional(company)
	case issuing, "":
		return issuing, sql.NullString{}
	}
	return issuing, sqldb.Optional(name)
}

const authorityColumns = "name, fingerprint, state, not_after, added_at, activate_at, activated_at, left_at, retired_at, revoked_at, reason_code"

// Authorities returns the states of all issuing CAs, in the order of their numbers.
func (db Succession) Authorities(ctx context.Context) ([]succession.Record, error) {
	var all []succession.Record
	err := db.All(ctx, "SELECT "+authorityColumns+" FROM authorities", nil, func(rows *sql.Rows) error {
		r, err := scanAuthority(rows.Scan)
		all = append(all, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading states of issuing CAs: %w", err)
	}
	slices.SortFunc(all, func(a, b succession.Record) int {
		return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func scanAuthority(scan func(...any) error) (succession.Record, error) {
	var r succession.Record
	var fingerprint []byte
	var end, added, planned, activated, left, retired, revoked, reason sql.NullInt64
	if err := scan(&r.Name, &fingerprint, &r.State, &end, &added, &planned, &activated, &left, &retired, &revoked, &reason); err != nil {
		return r, err
	}
	r.NotAfter, r.Added, r.ActivateAt = sqldb.TimeOf(end), sqldb.TimeOf(added), sqldb.TimeOf(planned)
	r.Activated, r.Left, r.RetiredAt = sqldb.TimeOf(activated), sqldb.TimeOf(left), sqldb.TimeOf(retired)
	r.RevokedAt, r.Reason = sqldb.TimeOf(revoked), int(reason.Int64)
	var err error
	r.Fingerprint, err = sqldb.Hash32(fingerprint)
	return r, err
}

// AddAuthority records an issuing CA, as pending or as active. It changes nothing where
// the same certificate has the name already. The error is succession.ErrOther where
// another one has it, and succession.ErrState for a second active one.
func (db Succession) AddAuthority(ctx context.Context, r succession.Record, entry audit.Entry) error {
	return stateError(db.write(ctx, "recording "+r.Name, func(ctx context.Context, t *tx) error {
		known, err := authorityRow(ctx, t, r.Name)
		switch {
		case err == nil && bytes.Equal(known.Fingerprint[:], r.Fingerprint[:]):
			return nil
		case err == nil:
			return succession.ErrOther
		case !errors.Is(err, portal.ErrNotFound):
			return err
		}
		_, err = t.Exec(ctx, "INSERT INTO authorities ("+authorityColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, NULL, NULL, NULL)",
			r.Name, r.Fingerprint[:], string(r.State), r.NotAfter.UnixMilli(), r.Added.UnixMilli(), sqldb.Moment(r.ActivateAt), sqldb.Moment(r.Activated))
		if err != nil {
			return err
		}
		return t.append(ctx, entry)
	}))
}

// ScheduleAuthority sets when a pending CA becomes the active one by itself; the zero time
// is by command only. The error is succession.ErrState for one that is not pending.
func (db Succession) ScheduleAuthority(ctx context.Context, name string, at time.Time, entry audit.Entry) error {
	return db.changeAuthority(ctx, "planning "+name, entry, func(ctx context.Context, t *tx) (int, error) {
		return t.Exec(ctx, "UPDATE authorities SET activate_at = $2 WHERE name = $1 AND state = 'pending'", name, sqldb.Moment(at))
	})
}

// ActivateAuthority makes a pending CA the active one, and the active one retiring. The
// error is succession.ErrState for one that is not pending.
func (db Succession) ActivateAuthority(ctx context.Context, name string, at time.Time, entry audit.Entry) error {
	return db.activate(ctx, name, "state = 'pending'", at, entry)
}

// ActivatePlanned does the same while the CA is planned for then or before. The error is
// succession.ErrState too when the plan was taken back or postponed.
func (db Succession) ActivatePlanned(ctx context.Context, name string, at time.Time, entry audit.Entry) error {
	return db.activate(ctx, name, "state = 'pending' AND activate_at <= $2", at, entry)
}

func (db Succession) activate(ctx context.Context, name, condition string, at time.Time, entry audit.Entry) error {
	return db.changeAuthority(ctx, "activating "+name, entry, func(ctx context.Context, t *tx) (int, error) {
		_, err := t.Exec(ctx, "UPDATE authorities SET state = 'retiring', left_at = $1 WHERE state = 'active'", at.UnixMilli())
		if err != nil {
			return 0, err
		}
		return t.Exec(ctx, `UPDATE authorities SET state = 'active', activated_at = $2, activate_at = NULL
			WHERE name = $1 AND `+condition, name, at.UnixMilli())
	})
}

// RetireAuthority ends a retiring CA. The error is succession.ErrState for one that is not
// retiring, and while a person's certificate of it has not ended.
func (db Succession) RetireAuthority(ctx context.Context, name string, at time.Time, entry audit.Entry) error {
	return db.changeAuthority(ctx, "retiring "+name, entry, func(ctx context.Context, t *tx) (int, error) {
		return t.Exec(ctx, `UPDATE authorities SET state = 'retired', retired_at = $2 WHERE name = $1 AND state = 'retiring'
			AND NOT EXISTS (SELECT 1 FROM certificates c WHERE COALESCE(c.authority, c.issuer) = $1 AND c.not_after >= $2 AND c.kind = 'user')`,
			name, at.UnixMilli())
	})
}

// changeAuthority changes one row and appends the entry, or says why not.
func (db Succession) changeAuthority(ctx context.Context, doing string, entry audit.Entry, change func(context.Context, *tx) (int, error)) error {
	err := db.write(ctx, doing, func(ctx context.Context, t *tx) error {
		changed, err := change(ctx, t)
		if err != nil {
			return err
		}
		if changed != 1 {
			return succession.ErrState
		}
		return t.append(ctx, entry)
	})
	return stateError(err)
}

// stateError is succession.ErrState where another CA became active at the same time.
func stateError(err error) error {
	if errors.Is(err, portal.ErrConflict) {
		return fmt.Errorf("%w: %w", succession.ErrState, err)
	}
	return err
}

// authorityRow reads the row of an issuing CA.
func authorityRow(ctx context.Context, q querier, name string) (succession.Record, error) {
	var r succession.Record
	err := q.All(ctx, "SELECT "+authorityColumns+" FROM authorities WHERE name = $1", []any{name}, func(rows *sql.Rows) (err error) {
		r, err = scanAuthority(rows.Scan)
		return err
	})
	if err == nil && r.Name == "" {
		err = portal.ErrNotFound
	}
	return r, err
}
