package doctor

import (
	"context"
	"errors"
	"maps"
	"slices"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// peopleChecks look at people: those whose certificates would give control over the domain,
// and those who would be refused.
func (d *Doctor) peopleChecks() []check {
	needs := []part{database}
	if d.c.Settings.Directory.Kind != config.KindBuiltin {
		needs = append(needs, people)
	}
	return []check{
		{name: "protected", needs: []part{database}, sections: []string{"directory"}, run: d.checkProtected},
		{name: "refused", needs: needs, sections: []string{"directory"}, run: d.checkRefused},
	}
}

// checkProtected looks whether people who control the domain can have certificates, or have
// some.
func (d *Doctor) checkProtected(ctx context.Context) []portal.Finding {
	const what = "directory.groups.protected"
	if d.c.Settings.Directory.InsecureEnrollProtected {
		return []portal.Finding{portal.NewFinding("directory.insecure_enroll_protected", portal.FindingFailed,
			portal.Say("protected-enroll", "domain administrators can get certificates: a phone of theirs that is lost gives control over the domain. Remove the setting"))}
	}
	n, _, err := d.c.DB.ProtectedHolders(ctx, d.c.Now())
	if err == nil && n > 0 {
		return []portal.Finding{portal.NewFinding(what, portal.FindingFailed,
			portal.Say("protected-holders", "people who became protected and have certificates that work: %d. The overview of administrators leads to them", n))}
	}
	return []portal.Finding{found(what, err, portal.Say("protected-fine", "people who control the domain get no certificate, and have none"))}
}

// mostPeople bounds how many people are read to count those who would be refused.
const mostPeople = 500

// checkRefused counts the people who would be refused a certificate now, by reason. Accounts
// that are off are no mistake.
func (d *Doctor) checkRefused(ctx context.Context) []portal.Finding {
	const what = "directory.groups.enroll"
	of, err := d.candidates(ctx)
	if err != nil {
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning, portal.Say("refused-unread", "the people who may ask for certificates cannot be listed: %v", err))}
	}
	reasons := d.judge(of.People)
	if of.Unread > 0 {
		reasons[portal.EntryUnread] += of.Unread
	}
	all := len(of.People) + of.Unread
	var list []portal.Finding
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		state := portal.FindingWarning
		if slices.Contains([]portal.Reason{portal.Disabled, portal.Expired, portal.Locked, portal.Protected}, reason) {
			state = portal.FindingOK
		}
		list = append(list, portal.NewFinding(what, state, refusalSaid(reason, reasons[reason], all)))
	}
	if len(list) == 0 {
		list = append(list, portal.NewFinding(what, portal.FindingOK, portal.Say("refused-none", "of %d people each would get a certificate", all)))
	}
	if of.More {
		list[len(list)-1].Add(portal.Say("refused-more", "(the first %d people were looked at)", all))
	}
	return list
}

// candidates lists the people who may ask for certificates.
func (d *Doctor) candidates(ctx context.Context) (directory.Candidates, error) {
	if d.c.EnrollPeople != nil {
		return d.c.EnrollPeople(ctx, mostPeople)
	}
	accounts, err := d.c.DB.Accounts(ctx)
	c := directory.Candidates{More: len(accounts) > mostPeople}
	for _, a := range accounts[:min(len(accounts), mostPeople)] {
		c.People = append(c.People, a.Person)
	}
	return c, err
}

// judge counts why people would be refused.
func (d *Doctor) judge(all []portal.Person) map[portal.Reason]int {
	s := d.c.Settings.Directory
	rules := enroll.Rules{RequireSID: s.Kind == config.KindActiveDirectory, EnrollProtected: s.InsecureEnrollProtected}
	reasons := map[portal.Reason]int{}
	for _, p := range all {
		var refusal *portal.Refusal
		if errors.As(rules.Judge(p), &refusal) {
			reasons[refusal.Reason]++
		}
	}
	return reasons
}

// refusalSaid says how many people would be refused for a reason.
func refusalSaid(r portal.Reason, n, all int) portal.Sentence {
	switch r {
	case portal.Disabled:
		return portal.Say("refused-disabled", "of %d people %d would be refused: the account is disabled", all, n)
	case portal.Expired:
		return portal.Say("refused-expired", "of %d people %d would be refused: the account has expired", all, n)
	case portal.Locked:
		return portal.Say("refused-locked", "of %d people %d would be refused: the account is locked", all, n)
	case portal.Protected:
		return portal.Say("refused-protected", "of %d people %d would be refused: they are protected", all, n)
	case portal.NoUPN:
		return portal.Say("refused-no-upn", "of %d people %d would be refused: userPrincipalName is empty", all, n)
	case portal.NoSID:
		return portal.Say("refused-no-sid", "of %d people %d would be refused: objectSid cannot be read", all, n)
	case portal.SuffixForeign:
		return portal.Say("refused-suffix", "of %d people %d would be refused: their UPN ends in none of directory.upn_suffixes", all, n)
	case portal.Conflicting:
		return portal.Say("refused-conflict", "of %d people %d would be refused: another account has their UPN, or it is not well formed", all, n)
	case portal.EntryUnread:
		return portal.Say("refused-unreadable", "of %d people %d would be refused: the account of the portal cannot read their entry in full", all, n)
	}
	return portal.Say("refused", "of %d people %d would be refused: %s", all, n, r)
}
