package drift

import (
	"context"
	"fmt"
	"slices"

	"certportal/internal/portal"
)

// readOwners asks which accounts have the UPNs that holders had and have no more, those
// of deleted accounts included. If the directory does not answer, the certificates stay
// as they are until the next pass.
func (p *pass) readOwners(ctx context.Context, holders []CertificateHolder, people map[portal.PersonID]answer) map[string][]portal.PersonID {
	var former []string
	for _, h := range holders {
		for _, c := range h.Certificates {
			if a := people[h.Person]; c.UPN != "" && a.unread == nil && !sameUPN(c.UPN, a.person.UPN) {
				former = append(former, c.UPN)
			}
		}
	}
	if len(former) == 0 {
		return nil
	}
	slices.Sort(former)
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	owners, err := p.c.Directory.UPNOwners(ctx, slices.Compact(former))
	if err != nil {
		p.incomplete(ctx, fmt.Errorf("reading who has the former UPNs of %d certificates: %w", len(former), err))
	}
	return owners
}

// reusedBy returns who has the UPNs of the holder's certificates now, by UPN.
func reusedBy(h CertificateHolder, a answer, owners map[string][]portal.PersonID) map[string]portal.PersonID {
	var reused map[string]portal.PersonID
	for _, c := range h.Certificates {
		others := slices.DeleteFunc(slices.Clone(owners[c.UPN]), func(id portal.PersonID) bool { return id == h.Person })
		if len(others) == 0 || a.unread != nil || sameUPN(c.UPN, a.person.UPN) {
			continue
		}
		if reused == nil {
			reused = make(map[string]portal.PersonID)
		}
		reused[c.UPN] = others[0]
	}
	return reused
}

// splitReused takes the certificates whose UPN another account has now from the holder,
// and returns them as mismatches, one for each UPN. They are revoked at once.
func (p *pass) splitReused(h *CertificateHolder, of answer, owners map[string][]portal.PersonID) []PersonMismatch {
	reused := reusedBy(*h, of, owners)
	if len(reused) == 0 {
		return nil
	}
	var found []PersonMismatch
	var rest []Certificate
	for _, c := range h.Certificates {
		owner, ok := reused[c.UPN]
		if !ok {
			rest = append(rest, c)
			continue
		}
		i := slices.IndexFunc(found, func(f PersonMismatch) bool { return sameUPN(f.UPN, c.UPN) })
		if i < 0 {
			i = len(found)
			found = append(found, PersonMismatch{
				Person: h.Person, Change: portal.UPNReused, Login: of.person.Login, UPN: c.UPN, Now: string(owner), Since: p.now, Due: p.now,
			})
		}
		found[i].Serials = append(found[i].Serials, c.Serial)
	}
	h.Certificates = rest
	return found
}
