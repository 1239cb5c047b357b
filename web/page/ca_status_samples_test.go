package page_test

import (
	"fmt"
	"time"

	"certportal/web/page"
)

// openTruth is of a certificate that no list names yet.
func openTruth(x adminTexts) *page.AdminRevocationStatus {
	return &page.AdminRevocationStatus{
		At: noon(), By: x.name, Role: "admin", Cause: "lost", Why: x.text, OCSP: page.OCSPStale, Until: noon().Add(time.Hour), Code: 1,
	}
}

// listedTruth is of one that older lists still let in.
func listedTruth(x adminTexts) *page.AdminRevocationStatus {
	t := openTruth(x)
	t.Serial, t.List, t.Listed, t.OCSP = "4f5c21d0a9b8c7d6e5f4a3b2c1d0e9f8a7", 1764000000000, noon(), page.OCSPRevoked
	return t
}

// overTruth is the status of a certificate that no server accepts any more, with as few
// fields as possible.
func overTruth() *page.AdminRevocationStatus {
	return &page.AdminRevocationStatus{At: noon(), List: 1764000000000, OCSP: page.OCSPNone}
}

// silentTruth is of one that is not answered for online.
func silentTruth(x adminTexts) *page.AdminRevocationStatus {
	t := openTruth(x)
	t.OCSP, t.Until = page.OCSPOff, time.Time{}
	return t
}

// theirTruths are of certificates that CAs elsewhere must list.
func theirTruths(x adminTexts) map[string]*page.AdminRevocationStatus {
	of := func(change func(*page.AdminRevocationStatus)) *page.AdminRevocationStatus {
		t := openTruth(x)
		t.Elsewhere, t.Tries = true, 3
		change(t)
		return t
	}
	named := func(t *page.AdminRevocationStatus) {
		t.Confirmed, t.NamedAt, t.NamedIn, t.NamedNumber = noon(), noon(), "http://crl.corp.example/"+x.text, "170141183460469231731687303715884105727"
	}
	return map[string]*page.AdminRevocationStatus{
		"unread":   of(func(t *page.AdminRevocationStatus) { t.Obstacle, t.Until = x.text, time.Time{} }),
		"absent":   of(func(t *page.AdminRevocationStatus) { t.Confirmed, t.Absent = noon(), noon() }),
		"named":    of(named),
		"gone":     of(func(t *page.AdminRevocationStatus) { named(t); t.Absent = noon() }),
		"somelist": of(func(t *page.AdminRevocationStatus) { named(t); t.NamedNumber, t.Until = "", time.Time{} }),
		"online":   of(func(t *page.AdminRevocationStatus) { named(t); t.NamedOnline, t.Cause = true, "authority" }),
	}
}

// authorityPages are the states of /admin/ca.
func authorityPages(f page.Layout, x adminTexts) []sample {
	const fingerprint = "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"
	list := page.AdminCRL{
		Number: 1764000000000, ThisUpdate: noon(), NextUpdate: noon().Add(72 * time.Hour), Published: noon(), Next: noon().Add(time.Hour),
		Percent: 37, Level: "fresh", Size: 812, Entries: 3,
	}
	whole := list
	whole.Size, whole.Entries, whole.Waiting = 38_400_000, 1_000_000, true
	whole.Trouble, whole.Since, whole.Level = x.text, noon(), "ended"
	whole.Targets = []page.AdminTarget{{Name: x.text, Number: 1764000000000, At: noon()}, {Name: x.text, Trouble: x.text}}
	delta := list
	delta.Delta, delta.Level, delta.Size = true, "half", 12_345
	none := page.AdminCRL{Level: "none", Trouble: x.text}
	authority := func(name, end string, lists ...page.AdminCRL) page.AdminCA {
		return page.AdminCA{Name: name, Kind: name, Subject: x.text, Key: "RSA 3072", Fingerprint: fingerprint, NotAfter: noon(), Days: 59, End: end, Lists: lists}
	}
	findings := adminChecks(x)[0].Findings
	held := authority("issuing", "near", whole, delta)
	held.Held = &page.AdminHeld{People: 1, Devices: 1_000_000, Path: "/admin/certificates?authority=issuing&status=working"}
	full := page.AdminCAStatus{
		Layout: f, MayPublish: true, MayCheck: true, MayTry: true, Made: list.Number,
		CAs: append([]page.AdminCA{authority("root", "far", list), held}, laterAuthorities(authority)...),
		OCSP: &page.AdminOCSP{Signer: x.text, NotAfter: noon().AddDate(0, 0, 30), Renews: noon().AddDate(0, 0, 15), Kept: 250_000, Life: 8,
			Followed: noon(), Trouble: x.text, Since: noon()},
		Addresses: []page.AdminCheck{{Name: "address-crl", At: noon(), Findings: findings}, {Name: "address-ocsp"}, {Name: "address-ca", At: noon(), Findings: findings}},
		Trial:     page.AdminCheck{Name: "trial", At: noon(), Findings: findings},
	}
	full.Elsewhere, full.Directory = elsewhereCards(x), "/admin/ca/directory"
	full.UpstreamLists = []page.AdminUpstream{{Name: "company", Lists: []page.AdminUpstreamList{
		{Address: "http://crl.corp.example/company.crl", Level: "fresh", Number: "170", ThisUpdate: noon(), NextUpdate: noon(), Checked: noon(), Size: 812},
		{Address: "ldap:///" + x.text, Level: "unchecked", Checked: noon()},
		{Address: "http://crl.corp.example/" + x.text, Level: "unreachable", Checked: noon(), Bad: true, Since: noon(), Detail: x.text},
	}}, {Name: "other", Lists: []page.AdminUpstreamList{
		{Address: "http://crl.corp.example/other.crl", Level: "ended", Checked: noon(), Bad: true, Since: noon(), Detail: x.text, ThisUpdate: noon(), NextUpdate: noon()},
		{Address: "http://crl.corp.example/wrong.crl", Level: "invalid", Checked: noon(), Bad: true, Since: noon(), Detail: x.text},
	}}}
	bad := full
	bad.Made, bad.Failed, bad.Sealed, bad.Away = 0, "busy", true, true
	bad.CAs = []page.AdminCA{authority("root", "soon", none), authority("issuing", "now", none)}
	bad.OCSP, bad.Trial = &page.AdminOCSP{Life: 1}, page.AdminCheck{Name: "trial"}
	samples := []sample{{"admin-authority", full}, {"admin-authority-bad", bad}}
	for _, failed := range []string{"away", "other"} {
		reader := full
		reader.MayPublish, reader.MayCheck, reader.MayTry, reader.Failed = false, false, false, failed
		reader.CAs = []page.AdminCA{authority("root", "over", delta)}
		reader.CAs[0].Lists[0].Level = "late"
		samples = append(samples, sample{"admin-authority-" + failed, reader})
	}
	ending := full
	ending.CAs = []page.AdminCA{authority("issuing", "far", list)}
	ending.CAs[0].Lists[0].Level = "ending"
	directory := page.AdminDirectory{Layout: f, Unreadable: []string{x.text}, Choices: []page.AdminFoundCA{{ID: "choice-1", Name: x.text, Config: x.text, Settings: x.text}, {
		ID: "choice-2", Name: x.text, Config: x.text, Unknown: []string{x.text}, Unreadable: []string{x.text}, Settings: x.text,
		Templates: []page.AdminTemplate{{Name: x.text}, {Name: x.text, DisplayName: x.text, Findings: findings}},
	}}}
	for _, state := range []string{"usable", "unusable", "renewal"} {
		directory.Choices[0].Endpoints = append(directory.Choices[0].Endpoints, page.AdminEndpoint{URL: x.text, Authentication: "Kerberos", State: state})
	}
	samples = append(samples, sample{"admin-directory", directory}, sample{"admin-directory-off", page.AdminDirectory{Layout: f, Off: true}},
		sample{"admin-directory-failed", page.AdminDirectory{Layout: f, Failed: x.text}})
	company := full
	company.Company, company.Away = true, true
	company.CAs = []page.AdminCA{authority("root", "far"), authority("issuing", "far", list)}
	return append(samples, sample{"admin-authority-ending", ending}, sample{"admin-authority-company", company})
}

// elsewhereCards are CAs that the portal does not run, with a test in each state.
func elsewhereCards(x adminTexts) []page.AdminElsewhere {
	var all []page.AdminElsewhere
	trial := func(kind, verdict, answer string) page.AdminTrial {
		return page.AdminTrial{
			Upstream: x.text, MayTry: true, Kind: kind, ID: fmt.Sprint(kind, "-", len(all)), At: noon(), UPN: x.text, Request: "4f5c21d0a9b8c7d6e5f4a3b2c1d0e9f8a7",
			Remote: "101000000000000000000000000000000000001", Verdict: verdict, Answer: answer,
		}
	}
	add := func(issue, refusal page.AdminTrial) {
		all = append(all, page.AdminElsewhere{Name: fmt.Sprint("company-", len(all)), Issues: len(all) == 0, Trials: []page.AdminTrial{issue, refusal}})
	}
	passed := trial("issue", "passed", "issued")
	passed.Compared, passed.Revoked, passed.RevokedAt, passed.Serial = "same", "done", noon(), passed.Request
	denied := trial("refusal", "passed", "denied.person")
	denied.Said = x.text
	add(passed, denied)
	differs := trial("issue", "failed", "issued")
	differs.Compared, differs.Difference, differs.Revoked, differs.Obstacle = "other", x.text, "waits", x.text
	issued := trial("refusal", "failed", "issued")
	issued.Compared, issued.Revoked = "same", "hand"
	add(differs, issued)
	stranger := differs
	stranger.Revoked, stranger.ID = "stranger", "issue-stranger"
	for n, answer := range []string{"sent", "pending", "unknown", "lost", "unsent", "denied.portal", "denied.request"} {
		verdict := []string{"open", "open", "unknown", "unknown", "unknown", "unknown", "doubt"}[n]
		issue := trial("issue", map[string]string{"doubt": "failed"}[verdict], answer)
		if issue.Verdict == "" {
			issue.Verdict = verdict
		}
		if n == 0 {
			issue = stranger
		}
		add(issue, trial("refusal", verdict, answer))
	}
	add(page.AdminTrial{Kind: "issue", ID: "issue-none"}, page.AdminTrial{Kind: "refusal", ID: "refusal-none"})
	for _, failed := range []string{"person", "busy", "often", "halted", "barred"} {
		add(page.AdminTrial{Kind: "issue", ID: "issue-" + failed, MayTry: true, Failed: failed, Typed: x.text}, page.AdminTrial{Kind: "refusal", ID: "refusal-" + failed})
	}
	return all
}

// laterAuthorities are issuing CAs in each state.
func laterAuthorities(make func(name, end string, lists ...page.AdminCRL) page.AdminCA) []page.AdminCA {
	var all []page.AdminCA
	for n, state := range []string{"pending", "active", "retiring", "retired", "revoked"} {
		a := make(fmt.Sprint("issuing-", n+2), "far")
		a.Kind, a.Number, a.State, a.Held = "issuing", n+2, state, &page.AdminHeld{Counting: true}
		all = append(all, a)
	}
	return all
}
