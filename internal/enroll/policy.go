package enroll

import (
	"context"
	"errors"
	"strings"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
)

// Rules say who may have a certificate, as far as an installation differs.
type Rules struct {
	RequireSID      bool // the directory knows a SID of every person
	EnrollProtected bool // protected people may enrol

	// EnrollGroup is what people call the group that may enrol; it is in the
	// refusal of those who are not in it. Optional.
	EnrollGroup string
}

// Judge says whether a person may have a certificate now: nil, or the *Refusal
// that names the first thing in the way.
func (r Rules) Judge(p portal.Person) error {
	switch {
	case p.Disabled:
		return &portal.Refusal{Reason: portal.Disabled}
	case p.Expired:
		return &portal.Refusal{Reason: portal.Expired}
	case p.Locked:
		return &portal.Refusal{Reason: portal.Locked}
	case p.Conflict == portal.UPNSuffix:
		_, suffix, _ := strings.Cut(p.UPN, "@")
		return &portal.Refusal{Reason: portal.SuffixForeign, Value: suffix}
	case p.Conflict != "":
		return &portal.Refusal{Reason: portal.Conflicting, Value: string(p.Conflict)}
	case p.Protected && !r.EnrollProtected:
		return &portal.Refusal{Reason: portal.Protected}
	case !p.MayEnroll:
		return &portal.Refusal{Reason: portal.NotAllowed, Value: r.EnrollGroup}
	case p.UPN == "":
		return &portal.Refusal{Reason: portal.NoUPN}
	case p.SID == "" && r.RequireSID:
		// Without the SID a domain controller maps by name alone, which it
		// refuses since September 2025 (KB5014754).
		return &portal.Refusal{Reason: portal.NoSID}
	}
	return nil
}

// countIssue counts a certificate before it is made.
func (r *Registrar) countIssue(ctx context.Context, id portal.PersonID) error {
	if r.c.PerHour == 0 {
		return nil
	}
	tries, err := r.c.Store.Try(ctx, budgetKey(id), signin.Limit{Tries: r.c.PerHour, Window: time.Hour}, r.c.Now())
	if err != nil {
		return portal.AsOutage(portal.PartStore, "counting certificates", err)
	}
	if !tries.Allowed {
		return &portal.Refusal{Reason: portal.TooOften, Limit: r.c.PerHour, Until: tries.Until}
	}
	return nil
}

// uncountIssue takes the count back after an outage: who tries again until the issuer
// is back must not read that they asked too often. A refusal counts, and so does a
// request that its sender breaks off.
func (r *Registrar) uncountIssue(ctx context.Context, id portal.PersonID, err error) {
	var outage *portal.Outage
	if r.c.PerHour == 0 || !errors.As(err, &outage) || errors.Is(err, context.Canceled) || errors.Is(err, errAsked) {
		return
	}
	if err := r.c.Store.GiveBack(context.WithoutCancel(ctx), budgetKey(id)); err != nil {
		r.c.Log.Error("giving back a certificate of the hour", "person", id, "err", err)
	}
}

// Judge says whether a person, read afresh, may have a certificate now: nil, or
// the *Refusal that names the first thing in the way.
func (r *Registrar) Judge(p portal.Person) error { return r.rules.Judge(p) }

// CodeRequired reports whether enrolling needs an invitation.
func (r *Registrar) CodeRequired() bool { return r.c.CodeRequired }

// invited refuses a request without an invitation where one is required. Whether it is
// good, the store decides inside its transaction.
func (r *Registrar) invited(req Request) error {
	if r.c.CodeRequired && req.Invitation == "" {
		return &portal.Refusal{Reason: portal.CodeNeeded}
	}
	return nil
}

func budgetKey(id portal.PersonID) string { return "certificates of " + string(id) }

// mayEnroll reads the person afresh and says whether they may have a certificate
// now. It is asked at every issue, because sign-in may be long ago.
func (r *Registrar) mayEnroll(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := r.judged(ctx, id)
	if p.Conflict != "" {
		r.c.Log.Error("identity conflict: nothing is issued until the directory is mended",
			"person", p.ID, "login", p.Login, "upn", p.UPN, "conflict", p.Conflict)
	}
	return p, err
}

// judged reads the person afresh and judges them.
func (r *Registrar) judged(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	return r.rules.judged(ctx, r.c.Directory, id)
}

func (r Rules) judged(ctx context.Context, directory portal.Directory, id portal.PersonID) (portal.Person, error) {
	p, err := directory.Person(ctx, id)
	if errors.Is(err, portal.ErrNotFound) {
		// Signed in a moment ago and deleted since: the same as switched off.
		return portal.Person{ID: id}, &portal.Refusal{Reason: portal.Disabled}
	}
	if err != nil {
		return portal.Person{ID: id}, portal.AsOutage(portal.PartDirectory, "reading person", err)
	}
	return p, r.Judge(p)
}

// askWithin is how long the directory may take to say whether a person may still have
// what was made for them.
const askWithin = 3 * time.Second

// stillAllowed asks the directory once more before something is handed out that was
// made a short while ago. A definite no is the *Refusal of Judge; a directory that does
// not answer, or an entry that cannot be read any more, is none.
func (r *Registrar) stillAllowed(ctx context.Context, id portal.PersonID) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	_, err := r.mayEnroll(ctx, id)
	var unread *portal.UnreadableError
	if err != nil && (!refused(err) || errors.As(err, &unread)) {
		r.c.Log.Warn("directory not asked again before a delivery", "person", id, "err", err)
		return nil
	}
	return err
}
