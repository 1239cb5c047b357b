package succession

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"certportal/ca"
	"certportal/internal/audit"
)

// carryOut activates and retires what is due by a right clock, and reports whether anything
// was done, and why a plan has to wait.
func (l *Line) carryOut(ctx context.Context, inFolder []ca.Authority, records []Record) (acted bool, waits error) {
	if l.c.Due() != nil {
		return false, nil
	}
	now := l.c.Now()
	retire := !now.Before(l.retireFrom)
	if retire {
		l.retireFrom = now.Add(retireEvery)
	}
	for _, r := range records {
		switch {
		case r.State == Pending && !r.ActivateAt.IsZero() && !now.Before(r.ActivateAt):
			if err := l.issues(r, inFolder); err != nil {
				waits = errors.Join(waits, fmt.Errorf("%s is not activated as planned: %w", r.Name, err))
				continue
			}
			waits, acted = errors.Join(waits, done(l.c.Store.ActivatePlanned(ctx, r.Name, now, entry(audit.CAActivated, r.Name, now, nil)))), true
		case r.State == Retiring && retire && now.Sub(r.Left) > retireEvery:
			waits, acted = errors.Join(waits, done(l.c.Store.RetireAuthority(ctx, r.Name, now, entry(audit.CARetired, r.Name, now, nil)))), true
		}
	}
	return acted, waits
}

// errNoPlans means that this process leaves plans to the portal.
var errNoPlans = errors.New("plans are carried out by a running portal")

// errAway means that the files of an authority are not in the folder of this machine.
var errAway = errors.New("its files are not in the CA's folder of this machine")

// issues reports why the authority of a record could not issue here.
func (l *Line) issues(r Record, inFolder []ca.Authority) error {
	i := slices.IndexFunc(inFolder, func(a ca.Authority) bool { return a.Name == r.Name && belongs(r, a) })
	if i < 0 {
		return errAway
	}
	if l.c.Opens == nil {
		return nil
	}
	return l.c.Opens(inFolder[i])
}
