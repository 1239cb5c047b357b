package enroll

import (
	"context"
	"errors"
)

// mayEnroll reads the person afresh and says whether they may have a certificate
// now. It is asked at every issue, whatever was true at sign-in.
func (r *Registrar) mayEnroll(ctx context.Context, id PersonID) (Person, error) {
	p, err := r.c.Directory.Person(ctx, id)
	if errors.Is(err, ErrNotFound) {
		// Signed in a moment ago and deleted since: the same as switched off.
		return Person{ID: id}, &Refusal{Reason: Disabled}
	}
	if err != nil {
		return Person{ID: id}, outage(PartDirectory, "reading person", err)
	}
	switch {
	case p.Disabled:
		return p, &Refusal{Reason: Disabled}
	case !p.MayEnroll:
		return p, &Refusal{Reason: NotAllowed}
	case p.UPN == "":
		return p, &Refusal{Reason: NoUPN}
	case p.SID == "" && r.c.Directory.RequiresSID():
		// Without the SID a domain controller maps by name alone, which it
		// refuses since September 2025 (KB5014754).
		return p, &Refusal{Reason: NoSID}
	}
	return p, nil
}
