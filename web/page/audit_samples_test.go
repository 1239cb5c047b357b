package page_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/web/page"
)

// auditPages are the audit log with all that may stand in it.
func auditPages(f page.Layout) []sample {
	f = counterFrame(f)
	const long = "Donaudampfschifffahrtsgesellschaftskapitänswitwe Maximiliane von und zu Hohenstein-Ödenburg"
	whole := page.AuditChain{
		Verified: 18204, At: noon(), Full: noon().Add(-time.Hour), Sealed: 18200, SealedAt: noon().Add(-time.Minute),
		Copies: []page.AuditCopy{
			{Name: "syslog logs.corp.example:6514"},
			{Name: "file /var/log/certportal/ledger.jsonl on portal-1", Behind: 100_000, Failure: "writing ledger copy: no space left on device", Since: noon()},
		},
	}
	rows := []page.AuditRow{
		{Seq: 18204, At: noon(), Action: "certificate.issued", Actor: "id-of-li", ActorName: "Li Wei 李伟", ActorPath: "/admin/audit?actor=id-of-li",
			Role: "employee", Person: "id-of-li", PersonName: "Li Wei 李伟", PersonPath: "/admin/audit?person=id-of-li",
			Object: strings.Repeat("0a1b", 8), ObjectPath: "/admin/audit?object=0a1b", Address: "2001:db8::7", Request: "k3v9-2m7q", Node: "portal-1",
			Hash: strings.Repeat("5e", 32), Facts: []page.AuditFact{{Key: "name", Value: long}, {Key: "upn", Value: "lwei@corp.example.com"}}},
		{Seq: 18203, At: noon(), Action: "access.refused", Refused: true, Actor: strings.Repeat("x", 300), Role: "made-up", Hash: "00"},
		{Seq: 18202, At: noon(), Action: "made.up", Role: "system", Facts: []page.AuditFact{{Key: "why", Value: "two\nlines"}}},
	}
	filter := page.AuditFilter{
		From: "2026-11-01", To: "2026-11-22", Action: "certificate.issued", Person: "lwei@corp.example.com", Object: "0A:1B", Actor: "<b>", Request: "k3v9",
	}
	for _, a := range audit.Actions() {
		filter.Actions = append(filter.Actions, string(a))
	}
	chips := []page.AuditChip{{Key: "action", Value: "certificate.issued", Path: "/admin/audit"}, {Key: "person", Value: long, Path: "/admin/audit"}}
	log := page.AuditLog{Layout: f, Filter: filter, Chips: chips, Chain: whole, Rows: rows, First: "/admin/audit", Next: "/admin/audit?before=18202"}
	broken := log
	broken.Chain = page.AuditChain{Fault: "seal-differs", Bad: 7, Until: 60, Since: noon(), Copies: whole.Copies[:1]}
	partly := log
	partly.Rows, partly.Partly = nil, true
	wrong := page.AuditLog{Layout: f, Filter: filter, Errors: []page.FieldError{
		{Field: "from", Key: "audit.bad.date"}, {Field: "action", Key: "audit.bad.action"}, {Field: "person", Key: "audit.bad.text"}}}
	s := []sample{
		{"audit", log}, {"audit-broken", broken}, {"audit-partly", partly}, {"audit-none", page.AuditLog{Layout: f, Filter: filter}},
		{"audit-which", page.AuditLog{Layout: f, Filter: filter, Which: []page.AuditWhich{{Name: "Anna Schmidt", ID: "p1", Path: "/admin/audit?person=p1"}}}},
		{"audit-which-more", page.AuditLog{Layout: f, Filter: filter, WhichMore: true, Which: []page.AuditWhich{{Name: "Anna Schmidt", ID: "p1", Path: "/admin/audit?person=p1"}}}},
		{"audit-which-stopped", page.AuditLog{Layout: f, Filter: filter, WhichMore: true}}, {"audit-wrong", wrong},
	}
	for _, fault := range faults() {
		b := page.AuditLog{Layout: f, Chain: page.AuditChain{Fault: string(fault), Bad: 7, Until: 7, Since: noon()}}
		s = append(s, sample{"audit-" + string(fault), b})
	}
	return s
}

func faults() []audit.Fault {
	return []audit.Fault{
		audit.Altered, audit.Rewritten, audit.Missing, audit.CutOff, audit.HeadDiffers, audit.CheckpointDiffers, audit.CheckpointForged,
		audit.KnownDiffers, audit.RecordDiffers,
	}
}

// Every audit action has a sentence in every language.
func TestEveryActionHasWords(t *testing.T) {
	t.Parallel()
	for _, lang := range page.Languages() {
		words := readCatalogue(t, lang)
		for _, action := range audit.Actions() {
			if _, ok := words["desk.event."+string(action)]; !ok {
				t.Errorf("%s: action %s has no words", lang, action)
			}
		}
	}
}
