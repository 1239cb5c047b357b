package enroll

import (
	"context"
	"errors"
	"time"
)

// Rules say who may have a certificate, as far as an installation differs.
type Rules struct {
	RequireSID      bool // the directory knows a SID of everybody
	EnrollProtected bool // protected people may enrol

	// EnrollGroup is what people call the group that may enrol; it stands in the
	// refusal of those who are not in it. Optional.
	EnrollGroup string
}

// Judge says whether a person may have a certificate now: nil, or the *Refusal
// that names the first thing in the way.
func (r Rules) Judge(p Person) error {
	switch {
	case p.Disabled:
		return &Refusal{Reason: Disabled}
	case p.Expired:
		return &Refusal{Reason: Expired}
	case p.Locked:
		return &Refusal{Reason: Locked}
	case p.Conflict != "":
		return &Refusal{Reason: Conflicting, Value: string(p.Conflict)}
	case p.Protected && !r.EnrollProtected:
		return &Refusal{Reason: Protected}
	case !p.MayEnroll:
		return &Refusal{Reason: NotAllowed, Value: r.EnrollGroup}
	case p.UPN == "":
		return &Refusal{Reason: NoUPN}
	case p.SID == "" && r.RequireSID:
		// Without the SID a domain controller maps by name alone, which it
		// refuses since September 2025 (KB5014754).
		return &Refusal{Reason: NoSID}
	}
	return nil
}

// spend counts a certificate before it is made.
func (r *Registrar) spend(ctx context.Context, id PersonID) error {
	if r.c.Attempts == nil || r.c.PerHour == 0 {
		return nil
	}
	tries, err := r.c.Attempts.Try(ctx, budgetKey(id), Limit{Tries: r.c.PerHour, Window: time.Hour}, r.c.Now())
	if err != nil {
		return outage(PartStore, "counting certificates", err)
	}
	if !tries.Allowed {
		return &Refusal{Reason: TooOften, Limit: r.c.PerHour, Until: tries.Until}
	}
	return nil
}

// refund takes the count back when nothing came of it: who tries again until the
// issuer is back, or brings a weak key, must not be told that they asked too often.
func (r *Registrar) refund(ctx context.Context, id PersonID, err error) {
	if r.c.Attempts == nil || r.c.PerHour == 0 || err == nil {
		return
	}
	if err := r.c.Attempts.GiveBack(context.WithoutCancel(ctx), budgetKey(id)); err != nil {
		r.c.Log.Error("giving back a certificate of the hour", "person", id, "err", err)
	}
}

// Judge says whether somebody, read afresh, may have a certificate now: nil, or
// the *Refusal that names the first thing in the way.
func (r *Registrar) Judge(p Person) error { return r.rules.Judge(p) }

// CodeRequired reports whether nobody enrols without an invitation.
func (r *Registrar) CodeRequired() bool { return r.c.CodeRequired }

// invited refuses who brings no invitation where one is required. Whether it is
// good, the store decides inside its transaction.
func (r *Registrar) invited(req Request) error {
	if r.c.CodeRequired && req.Invitation == "" {
		return &Refusal{Reason: CodeNeeded}
	}
	return nil
}

func budgetKey(id PersonID) string { return "certificates of " + string(id) }

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
	if p.Conflict != "" {
		r.c.Log.Error("identity conflict: nothing is issued until the directory is mended",
			"person", p.ID, "login", p.Login, "upn", p.UPN, "conflict", p.Conflict)
	}
	return p, r.rules.Judge(p)
}
