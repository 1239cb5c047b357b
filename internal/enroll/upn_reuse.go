package enroll

import (
	"context"
	"errors"
	"fmt"

	"certportal/internal/portal"
)

// UPNHeld says that other accounts have certificates in force, or pending, with the UPN
// of a reservation: servers that map by UPN would take one account for the other.
type UPNHeld struct {
	People []portal.PersonID // in the order of their ids
}

// Error is for operators.
func (h *UPNHeld) Error() string {
	return fmt.Sprintf("certificates of %d other accounts have the same UPN", len(h.People))
}

// reserve records a reservation. Where other accounts have certificates with its UPN, the
// directory is asked once more who owns the UPN: if it is the person alone, those
// certificates are revoked in the transaction of the reservation; else the reservation is
// refused.
func (r *Registrar) reserve(ctx context.Context, res Reservation) error {
	err := r.c.Store.Reserve(ctx, res)
	var held *UPNHeld
	if !errors.As(err, &held) {
		return err
	}
	if err := r.ownsUPN(ctx, res, held.People); err != nil {
		return err
	}
	res.Former = held.People
	err = r.c.Store.Reserve(ctx, res)
	if errors.As(err, &held) {
		r.c.Log.Error("certificate refused: another account got one with this UPN at the same time", "person", res.Person, "upn", res.Subject.UPN)
		return &portal.Refusal{Reason: portal.Conflicting, Value: string(portal.UPNTaken)}
	}
	if err == nil {
		r.c.Log.Warn("certificates revoked: their UPN belongs to another account now",
			"upn", res.Subject.UPN, "person", res.Person, "before", held.People)
		r.c.Revoked()
	}
	return err
}

// ownsUPN reads the person and all others again, and refuses the person unless they alone
// have the UPN. What was read before the reservation may come from a domain controller
// that had not heard of a change of name.
func (r *Registrar) ownsUPN(ctx context.Context, res Reservation, others []portal.PersonID) error {
	upn := portal.Fold(res.Subject.UPN)
	taken := func(by portal.PersonID) error {
		r.c.Log.Error("certificate refused: its UPN is that of another account",
			"person", res.Person, "upn", res.Subject.UPN, "account", by)
		return &portal.Refusal{Reason: portal.Conflicting, Value: string(portal.UPNTaken)}
	}
	person, err := r.mayEnroll(ctx, res.Person)
	if err != nil {
		return err
	}
	if portal.Fold(person.UPN) != upn || person.SID != res.Subject.SID {
		return taken("")
	}
	for _, id := range others {
		other, err := r.c.Directory.Person(ctx, id)
		var unread *portal.UnreadableError
		switch {
		case errors.Is(err, portal.ErrNotFound):
		case errors.As(err, &unread):
			return taken(id) // perhaps: its UPN is not known
		case err != nil:
			return portal.AsOutage(portal.PartDirectory, "reading the account that had the UPN", err)
		case portal.Fold(other.UPN) == upn:
			return taken(id)
		}
	}
	return nil
}
