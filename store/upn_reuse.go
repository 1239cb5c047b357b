package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// withUPN is the condition that a certificate c of a person is pending or in force at $2
// and has the folded UPN $1, in the terms of its index.
const withUPN = `COALESCE(c.upn_key, lower(c.upn)) = $1 AND c.revoked_at IS NULL AND c.not_after > $2 AND c.kind = 'user'`

// checkUPN refuses a UPN that certificates of other accounts have. It comes after the
// audit entry of the reservation, as checkHalt does: every other reservation needs the
// head of the audit log too, so of two at the same time one finds the other here.
func (t *tx) checkUPN(ctx context.Context, r enroll.Reservation) error {
	held, err := t.othersWithUPN(ctx, r)
	if err != nil || len(held) == 0 {
		return err
	}
	return &enroll.UPNHeld{People: slices.Sorted(maps.Keys(held))}
}

// othersWithUPN lists certificates of other people with the UPN of a reservation. Two
// people with one SID are the same account under two ids, after a change of directory.
func (t *tx) othersWithUPN(ctx context.Context, r enroll.Reservation) (map[portal.PersonID][]ca.Serial, error) {
	var held map[portal.PersonID][]ca.Serial
	err := t.All(ctx, "SELECT c.person, c.serial FROM certificates c WHERE "+withUPN+
		" AND c.person <> $3 AND (c.sid = '' OR c.sid <> $4)",
		[]any{portal.Fold(r.Subject.UPN), r.Requested.UnixMilli(), string(r.Person), r.Subject.SID},
		func(rows *sql.Rows) error {
			var person portal.PersonID
			var text string
			if err := rows.Scan(&person, &text); err != nil {
				return err
			}
			serial, err := serialOf(text)
			if held == nil {
				held = make(map[portal.PersonID][]ca.Serial)
			}
			held[person] = append(held[person], serial)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("looking for certificates with the same UPN: %w", err)
	}
	return held, nil
}

// revokeFormer revokes the certificates that people have who no longer own the UPN of a
// reservation. It locks them and the person in the order of their ids.
func (t *tx) revokeFormer(ctx context.Context, r enroll.Reservation) ([]record, error) {
	if len(r.Former) == 0 {
		return nil, nil
	}
	for _, person := range slices.Sorted(slices.Values(append([]portal.PersonID{r.Person}, r.Former...))) {
		if err := t.lockPerson(ctx, person); err != nil {
			return nil, err
		}
	}
	held, err := t.othersWithUPN(ctx, r)
	if err != nil {
		return nil, err
	}
	base := audit.Entry{At: r.Entry.At, Actor: "system", Role: "system", Request: r.Entry.Request,
		Detail: map[string]string{"by": r.Serial.String()}}
	var all []record
	for _, person := range slices.Sorted(maps.Keys(held)) {
		if !slices.Contains(r.Former, person) {
			return nil, &enroll.UPNHeld{People: slices.Sorted(maps.Keys(held))}
		}
		more, err := t.revokeReused(ctx, upnReuse{
			former: person, owner: r.Person, upn: r.Subject.UPN, serials: held[person], at: r.Requested, base: base,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// upnReuse are certificates whose UPN belongs to another account now.
type upnReuse struct {
	former, owner portal.PersonID
	upn           string
	serials       []ca.Serial
	at            time.Time
	base          audit.Entry // of the entries
}

// revokeReused revokes the certificates, and adds an entry for the owner of the UPN.
func (t *tx) revokeReused(ctx context.Context, u upnReuse) ([]record, error) {
	serials := sortedUnique(u.serials)
	if len(serials) == 0 {
		return nil, nil
	}
	base := u.base
	base.Action = audit.CertificateRevoked
	all, err := t.endAll(ctx, serials, portal.Reused, u.at, base)
	if err != nil {
		return nil, err
	}
	note := u.base
	// The certificate of the owner, if there is one: a mail to them may name its device.
	note.Action, note.Person, note.Object = audit.UPNReused, string(u.owner), u.base.Detail["by"]
	note.Detail = withDetail(u.base.Detail, "upn", u.upn, "former", string(u.former),
		"certificates", fmt.Sprint(len(serials)), "change", string(portal.UPNReused))
	return append(all, records(note)...), nil
}

// RevokeReused revokes the certificates of a person with a UPN that another account has
// now, pending ones included, and returns their serials.
func (db DriftRecords) RevokeReused(ctx context.Context, d drift.Reuse) ([]ca.Serial, error) {
	var ended []ca.Serial
	err := db.writeHeld(ctx, workWithin, "ending certificates of "+string(d.Person), func(ctx context.Context, t *tx) error {
		ended = nil
		if err := t.lockPerson(ctx, d.Person); err != nil {
			return err
		}
		var err error
		if ended, err = t.heldUnder(ctx, d); err != nil || len(ended) == 0 {
			return err
		}
		all, err := t.revokeReused(ctx, upnReuse{
			former: d.Person, owner: d.Owner, upn: d.UPN, serials: ended, at: d.At, base: d.Entry,
		})
		if err != nil {
			return err
		}
		if err := t.recordRevoked(ctx, d.Person, d.At, d.At); err != nil {
			return err
		}
		return t.appendRecords(ctx, all...)
	})
	if err != nil {
		return nil, err
	}
	return ended, nil
}

// heldUnder lists the certificates with a UPN that a person has. It folds what it reads:
// of older binaries, the database has no folded UPN.
func (t *tx) heldUnder(ctx context.Context, d drift.Reuse) ([]ca.Serial, error) {
	var serials []ca.Serial
	err := t.All(ctx, `SELECT serial, upn FROM certificates
		WHERE person = $1 AND revoked_at IS NULL AND not_after > $2 AND kind = 'user'`,
		[]any{string(d.Person), d.At.UnixMilli()}, func(rows *sql.Rows) error {
			var text, upn string
			err := rows.Scan(&text, &upn)
			if err != nil || portal.Fold(upn) != portal.Fold(d.UPN) {
				return err
			}
			serial, err := serialOf(text)
			serials = append(serials, serial)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing certificates: %w", err)
	}
	return serials, nil
}
