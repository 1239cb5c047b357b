package page_test

import (
	"time"

	"certportal/web/page"
)

// adminTexts are the texts of other people in the administrator's pages.
type adminTexts struct{ name, upn, device, text, link string }

// adminPages are the administrator's pages with everything on them.
func adminPages(f page.Layout, x adminTexts) []sample {
	serial := "4f5c21d0a9b8c7d6e5f4a3b2c1d0e9f8a7"
	states := []string{"working", "expiring", "expired", "superseded", "revoked", "pending"}
	var rows []page.AdminCertificate
	for _, state := range states {
		rows = append(rows, page.AdminCertificate{
			Serial: serial, State: state, UPN: x.upn, Name: x.name, Owner: "p1", DeviceID: "d1", Device: x.device, Platform: page.IOS, NotAfter: noon(),
		})
	}
	rows = append(rows, page.AdminCertificate{Serial: serial, State: "working", NotAfter: noon()})
	filter := page.AdminFilter{Person: x.text, Device: x.device, Serial: "4f:5c", Status: "expiring", Days: "30", From: "2026-01-02", To: "2026-03-04",
		Owner: "p1", DeviceID: "d1", Sort: "-until", Picked: serial}
	var chips []page.AdminChip
	for _, key := range []string{"person", "id", "device", "device_id", "serial", "days", "from", "to", "pick"} {
		chips = append(chips, page.AdminChip{Key: key, Value: x.text, Path: x.link})
	}
	chips = append(chips, page.AdminChip{Key: "status", Value: "expiring", Path: x.link})
	list := page.AdminList{
		Target: "/admin/certificates", Filter: filter, Chips: chips, First: x.link, Next: x.link,
		Query: x.text, Kind: "person", Hits: 10_000, MoreHits: true,
		Kinds:  []page.AdminChoice{{Key: "person", Path: x.link, Here: true}, {Key: "device", Path: x.link}, {Key: "serial", Path: x.link}},
		States: []page.AdminChoice{{Path: x.link}, {Key: "working", Path: x.link, Here: true}, {Key: "revoked", Path: x.link}},
		Columns: []page.AdminColumn{{Key: "person", Path: x.link}, {Key: "device"}, {Key: "status"}, {Key: "until", Path: x.link, Sorted: "descending"},
			{Key: "asked", Path: x.link, Sorted: "ascending"}, {Key: "serial"}, {Key: "created"}},
		Export: []page.Hidden{{Name: "person", Value: x.text}},
	}
	stopped := list
	stopped.Looked = 2000
	wrong := list
	wrong.Chips, wrong.Next, wrong.First, wrong.Export = nil, "", "", nil
	wrong.Errors = []page.FieldError{{Field: "q", Key: "admin.bad.person"}}
	for _, field := range []string{"device", "serial", "days", "from", "to"} {
		wrong.Errors = append(wrong.Errors, page.FieldError{Field: field, Key: "admin.bad." + field})
	}
	device := page.AdminDeviceRow{ID: "d1", Name: x.device, Platform: page.Android, UPN: x.upn, Person: x.name, Owner: "p1", State: "working", Serial: serial, Created: noon()}
	blocked, removed, bare := device, device, device
	blocked.Blocked, removed.Removed, bare.State, bare.Serial = noon(), noon(), "", ""
	causes := []string{"lost", "left", "replaced", "withdrawn"}
	mistakes := []page.FieldError{{Field: "cause", Key: "refusal.cause"}, {Field: "comment", Key: "refusal.comment-long", Limit: 200}}
	detail := page.AdminDetail{
		Layout: f, AdminCertificate: rows[0], Profile: x.text, SID: "S-1-5-21-1-2-3-1001", Mail: x.upn, Subject: x.text, Issuer: x.text, Key: "RSA 2048",
		Signature: "SHA256-RSA", NotBefore: noon(), Requested: noon(), Use: fullUse(), Refused: page.Refused{At: noon(), What: "enrolment.refused", Why: "made-up-reason"}, PEM: x.text, MayRevoke: true,
		Extensions: []page.AdminExtension{{OID: "2.5.29.15", Name: "Key Usage", Critical: true, Values: []string{"digitalSignature", x.text}}, {OID: "1.2.3", Values: []string{x.text}}},
		Chain:      []page.AdminLink{{Subject: x.text, Fingerprint: "9F:86:D0:81", NotAfter: noon()}},
		Events:     []page.AdminEvent{{At: noon(), Seq: 7, Action: "certificate.issued", Actor: x.text, Role: "employee"}, {At: noon(), Action: "x", Actor: "y"}},
	}
	ended, listed, over := detail, detail, detail
	ended.AdminCertificate, ended.MayRevoke = rows[4], false
	ended.Revocation, listed.AdminCertificate, over.AdminCertificate = openTruth(x), rows[4], rows[4]
	listed.Revocation, over.Revocation = listedTruth(x), overTruth()
	byHost := over
	byHost.Revocation = &page.AdminRevocationStatus{At: noon(), By: x.name, Role: "employee", Cause: "lost", Code: 1, Elsewhere: true, Confirmed: noon(), ByHost: true, OCSP: page.OCSPNone}
	silent := over
	silent.Revocation = silentTruth(x)
	theirs := func(which string) page.Page {
		of := over
		of.Revocation = theirTruths(x)[which]
		return of
	}
	overview := page.AdminOverview{Layout: f, Counted: noon(), Looked: noon(), Checked: noon(), MayHalt: true,
		Weeks: []page.AdminWeeks{
			{Key: "issued", Most: 1234, Bars: []page.AdminBar{{From: noon(), Number: 1234, Size: 60}, {From: noon(), X: 20, Y: 60}}},
			{Key: "ending", Most: 7, Bars: []page.AdminBar{{From: noon(), Number: 7, Y: 58, Size: 2}}},
		},
		Refusals: []page.AdminReason{{Reason: "quota", Number: 4321, Size: 100}, {Reason: x.text, Number: 1, Size: 1}},
		Issuers: []page.AdminIssuer{
			{Number: 123_456, Size: 100, Path: "/admin/certificates?authority=issuing"}, {Name: x.text, Number: 70, Size: 1, Path: "/admin/certificates?authority=upstream-x"},
			{Later: 2, Number: 1, Size: 1, Path: "/admin/certificates?authority=issuing-2"},
		},
	}
	for i, key := range []string{"working", "issued", "ending", "revoked", "failed"} {
		overview.Counts = append(overview.Counts, page.AdminCount{Key: key, Number: i * 123456, Path: "/admin/certificates"})
	}
	calm, one := overview, overview
	overview.Campaigns = []page.AdminCampaign{
		{Authority: "issuing-2", Number: 2, Began: noon(), Devices: 123_456, Done: 23_456, Mailed: 12_345, ToGo: 98_765, Path: "/admin/certificates?authority=issuing-2"},
		{Authority: "issuing", Began: noon(), Devices: 1, ToGo: 1, Waits: true, Path: "/admin/certificates?authority=issuing"},
		{Authority: "issuing-3", Number: 3, Began: noon(), Devices: 2, Done: 1, NoMail: true, Path: "/admin/certificates"},
		{Authority: "issuing-4", Number: 4, Began: noon(), Ended: noon(), Devices: 2, Done: 2},
	}
	one.Alerts = []page.AdminAlert{{Key: "watch", Critical: true, At: noon(), Value: "nobody-known", Path: "/admin/checks"}}
	overview.Checked, overview.Failing = time.Time{}, []string{"mail", "directory"}
	for i, key := range []string{"halted", "restored", "restored-accounts", "protected", "sealed", "schema-newer", "records-moved", "clock-stops", "clock-apart", "ca-revoked", "ca-missing", "list-none", "list-half", "list-late", "list-target", "company-list-none", "company-list-silent", "company-list-half", "company-list-late", "company-revoked", "upstream-refused", "upstream-unrevoked", "upstream-revoker", "upstream-unknown", "upstream-lost", "upstream-unlisted", "upstream-by-itself", "upstream-list-expired", "upstream-list-unreachable", "upstream-list-invalid", "upstream-list-holds", "upstream-unrestricted", "journal", "online-signer", "online-late", "online-trouble", "ca-short", "ca-ends", "certificate-ends", "acme-none", "acme-late", "acme-unrecorded", "watch", "mail", "letters", "ledger", "reader", "orders"} {
		overview.Alerts = append(overview.Alerts, page.AdminAlert{Key: key, Critical: i < 3, At: noon(), Value: x.text, Number: i, Path: "/admin/orders"})
	}
	s := []sample{
		{"admin-overview", overview}, {"admin-overview-calm", calm}, {"admin-overview-one", one}, {"admin-overview-counting", page.AdminOverview{Layout: f, Looked: noon(), Checked: noon()}},
		{"admin-certificates", page.AdminCertificates{Layout: f, AdminList: list, Rows: rows, MayPick: true, BulkRevocation: "/admin/orders/new?person=x"}},
		{"admin-certificates-person", page.AdminCertificates{Layout: f, AdminList: list, Rows: rows, Revocation: listedTruth(x)}},
		{"admin-certificates-stopped", page.AdminCertificates{Layout: f, AdminList: stopped}},
		{"admin-certificates-none", page.AdminCertificates{Layout: f, AdminList: page.AdminList{Target: "/admin/certificates", Filter: filter, Chips: chips}}},
		{"admin-certificates-wrong", page.AdminCertificates{Layout: f, AdminList: wrong}},
		{"admin-devices", page.AdminDevices{Layout: f, AdminList: list, Rows: []page.AdminDeviceRow{device, blocked, removed, bare}}},
		{"admin-devices-none", page.AdminDevices{Layout: f, AdminList: stopped}},
		{"admin-device", page.AdminDevice{Layout: f, AdminDeviceRow: blocked, Certificates: rows, Revocation: listedTruth(x), MayRevoke: true, Use: fullUse(), Refused: page.Refused{At: noon(), What: "pickup.refused", Why: "file-used"}}},
		{"admin-device-bare", page.AdminDevice{Layout: f, AdminDeviceRow: removed}},
		{"admin-certificate", detail}, {"admin-certificate-ended", ended}, {"admin-certificate-listed", listed}, {"admin-certificate-over", over}, {"admin-certificate-host", byHost}, {"admin-certificate-silent", silent},
		{"admin-certificate-theirs-unread", theirs("unread")}, {"admin-certificate-theirs-absent", theirs("absent")}, {"admin-certificate-theirs-named", theirs("named")},
		{"admin-certificate-theirs-gone", theirs("gone")}, {"admin-certificate-theirs-somelist", theirs("somelist")}, {"admin-certificate-theirs-online", theirs("online")},
		{"admin-neworder-one", page.AdminNewBulkRevocation{Layout: f, Chips: chips, Fields: []page.Hidden{{Name: "pick", Value: "01"}}, Back: "/admin/certificates", Limit: 20, Picked: 1}},
		{"admin-neworder-some", page.AdminNewBulkRevocation{Layout: f, Chips: chips, Fields: []page.Hidden{{Name: "pick", Value: "01.02"}}, Back: "/admin/certificates", Limit: 1, Picked: 2}},
		{"admin-neworder", page.AdminNewBulkRevocation{Layout: f, Chips: chips, Fields: []page.Hidden{{Name: "person", Value: x.text}}, Back: "/admin/certificates", Limit: 20}},
		{"admin-orders", page.AdminBulkRevocations{Layout: f, Rows: orderRows(x), First: "/admin/orders", Next: "/admin/orders?after=50"}}, {"admin-orders-none", page.AdminBulkRevocations{Layout: f}},
		{"admin-halt", page.AdminHalt{Layout: f}},
		{"admin-halt-wrong", page.AdminHalt{Layout: f, Text: x.text, Errors: mistakes[1:],
			Languages: page.Languages(), Texts: map[string]string{"de": x.text}}},
		{"admin-halt-restored", page.AdminHalt{Layout: f, On: true, Restored: true, Since: noon(), Actor: "system"}},
		{"admin-halt-on", page.AdminHalt{Layout: f, On: true, Since: noon(), Actor: x.text, Text: x.text}},
		{"admin-people", page.AdminPeople{Layout: f, Read: noon(), Roles: adminRoles(), Holders: []page.AdminHolders{
			{Role: "helpdesk", People: []page.AdminPerson{{ID: "p1", Name: x.name, UPN: x.upn}, {ID: "p2", Name: x.name, UPN: x.upn, Disabled: true}}}, {Role: "admin"}}}},
		{"admin-people-groups", page.AdminPeople{Layout: f, Read: noon(), Roles: adminRoles(), Holders: []page.AdminHolders{
			{Role: "helpdesk", More: true, Groups: []page.AdminGroup{{Name: x.text}, {Name: "CN=Helpdesk,DC=corp,DC=example", Missing: true}},
				People: []page.AdminPerson{{ID: "p1", Name: x.name, UPN: x.upn, Groups: []string{x.text, "CN=Helpdesk,DC=corp,DC=example"}}, {Name: x.name, Groups: []string{x.text}}}},
			{Role: "auditor", Groups: []page.AdminGroup{{Name: x.text}}}, {Role: "admin", Groups: []page.AdminGroup{{Name: x.text, Unread: true}}}}}},
		{"admin-people-silent", page.AdminPeople{Layout: f, Silent: true, Roles: adminRoles()}},
		{"admin-checks", page.AdminChecks{Layout: f, MayRun: true, Checks: adminChecks(x), Verdict: page.AdminVerdict{State: "failed", Count: 2, At: noon()}}},
		{"admin-exchange-elsewhere", page.AdminExchange{Layout: f}},
		{"admin-exchange", page.AdminExchange{Layout: f, Script: "/admin/exchange/x.ps1", File: "x.ps1"}},
		{"admin-checks-reader", page.AdminChecks{Layout: f, Checks: adminChecks(x), Verdict: page.AdminVerdict{State: "warning", Count: 1, At: noon()}}},
		{"admin-mail", page.AdminMail{Layout: f, MayResend: true, More: true, Rows: []page.AdminMailRow{
			{ID: "l1", Kind: "issued", Name: x.name, To: x.upn, Made: noon(), Closed: noon(), Tries: 3, Reason: x.text, Resendable: true},
			{ID: "l2", Kind: x.text, To: x.upn, Closed: noon(), Reason: x.text}}}},
		{"admin-mail-none", page.AdminMail{Layout: f}},
		{"admin-mail-stale", page.AdminMail{Layout: f, Refused: page.MailStale, Subject: x.name}},
		{"admin-mail-noaddress", page.AdminMail{Layout: f, Refused: page.MailNoAddress, Subject: x.name}},
		{"admin-export", page.AdminExport{Layout: f, States: states, Whats: []string{"certificates", "devices", "audit"}}},
	}
	s = append(s, authorityPages(f, x)...)
	for _, what := range []string{"certificate", "device", "person"} {
		ask := page.AdminRevoke{Layout: f, What: what, Action: "/admin/x/revoke", Back: "/admin/x", Name: x.device, UPN: x.upn, Serial: serial, Count: 1, Limit: 20, Causes: causes}
		wrong := ask
		wrong.Cause, wrong.Comment, wrong.Errors, wrong.Count, wrong.Recent = "left", x.text, mistakes, 21, 7
		s = append(s, sample{"admin-revoke-" + what, ask}, sample{"admin-revoke-" + what + "-wrong", wrong})
	}
	for _, row := range orderRows(x) {
		o := page.AdminBulkRevocation{Layout: f, AdminBulkRevocationRow: row, Expires: noon(), Chips: unlinked(chips), Limit: 20, Causes: causes,
			MayAct: row.State == "draft", MayAgree: row.State == "waiting", MayDrop: row.State == "waiting" || row.State == "draft", Reloading: row.State == "running"}
		if row.State != "draft" && row.State != "gathering" {
			o.Approver, o.Comment, o.Cause = x.name, x.text, "lost"
			o.Rows = []page.AdminCertificate{rows[4], rows[4], rows[0]}
			o.Rows[0].Outcome, o.Rows[1].Outcome, o.Next = "ended", "before", x.link
		}
		s = append(s, sample{"admin-order-" + row.State, o})
		if row.State == "draft" {
			wrong, empty := o, o
			wrong.Errors = append([]page.FieldError{{Field: "count", Key: "refusal.count", Limit: row.Items}}, mistakes...)
			wrong.Typed = page.AdminTyped{Count: x.text, Cause: "left", Comment: x.text}
			empty.Items = 0
			s = append(s, sample{"admin-order-wrong", wrong}, sample{"admin-order-empty", empty})
		}
	}
	return s
}

// unlinked is a filter that is only shown.
func unlinked(chips []page.AdminChip) []page.AdminChip {
	var shown []page.AdminChip
	for _, c := range chips {
		c.Path = ""
		shown = append(shown, c)
	}
	return shown
}

func orderRows(x adminTexts) []page.AdminBulkRevocationRow {
	var rows []page.AdminBulkRevocationRow
	for i, state := range []string{"gathering", "draft", "waiting", "running", "done", "dropped", "expired"} {
		rows = append(rows, page.AdminBulkRevocationRow{ID: "o1", State: state, Maker: x.name, Made: noon(), Items: 1204, Finished: i * 200, Ended: i * 199})
	}
	return rows
}

func adminRoles() []page.AdminRole {
	return []page.AdminRole{{Role: "employee", Acts: []string{"own"}}, {Role: "admin", Acts: []string{
		"people.find", "person.read", "overview.read", "certificates.read", "ledger.read", "roles.read", "checks.read", "records.export",
		"invitation.make", "invitation.approve", "device.block", "certificate.revoke", "certificates.revoke", "order.approve",
		"issuing.halt", "checks.run", "lists.publish", "authority.test"}}}
}

func adminChecks(x adminTexts) []page.AdminCheck {
	list := []page.AdminCheck{{Name: "names", At: noon(), State: "ok", Findings: []page.AdminFinding{{What: "names", Text: x.text, State: "ok"}}},
		{Name: "settings", At: noon(), State: "failed", Todos: []string{"settings.todo", "settings.todo.account"}, Findings: []page.AdminFinding{
			{What: "settings", Text: x.text, State: "ok"}, {What: x.text, Text: x.text, State: "warning"}, {What: "x", Text: x.text, State: "failed"},
			{What: "TLS certificate", Text: x.text, State: "failed", Said: []page.AdminSentence{{Key: "tls-other-host", Values: []string{x.text}}, {Text: x.text}}},
			{What: x.text, Text: x.text, State: "ok", Said: []page.AdminSentence{{Text: x.text, Key: "tls-fine"}}}}}}
	for _, name := range []string{"database", "ca", "lists", "tls", "directory", "ntauth", "identity-provider", "upstreams", "upstream-lists", "mail", "ledger", "address-crl", "address-ocsp", "address-ca", "company-lists"} {
		list = append(list, page.AdminCheck{Name: name})
	}
	return list
}

// uglyAdmin is the administrator's pages with the longest there may be.
func uglyAdmin(f page.Layout) []sample {
	f.Staff, f.StaffHome = staffLayout(f.Lang).Staff, "/helpdesk"
	return adminPages(f, adminTexts{
		name: "Maximiliane von und zu Hohenstein-Ödenburg 李伟", upn: "maximiliane.von.und.zu.hohenstein@a-very-long-domain.example.com",
		device: "Donaudampfschifffahrtsgesellschaftskapit", link: "/admin/certificates?person=li&after=eyJhIjoxfQ",
		text: "CN=maximiliane.von.und.zu.hohenstein@a-very-long-domain.example.com,OU=Donaudampfschifffahrtselektrizitätenhauptbetriebswerk",
	})
}

// hostileAdmin is the same with one text for all of them.
func hostileAdmin(f page.Layout, x string) []page.Page {
	f.Staff = staffLayout("en").Staff
	var pages []page.Page
	for _, s := range adminPages(f, adminTexts{x, x, x, x, x}) {
		pages = append(pages, s.page)
	}
	return pages
}

// bareAdmin is the pages as little as they may be.
func bareAdmin(f page.Layout) []sample {
	return []sample{
		{"admin-overview", page.AdminOverview{Layout: f}}, {"admin-certificates", page.AdminCertificates{Layout: f}},
		{"admin-devices", page.AdminDevices{Layout: f}}, {"admin-device", page.AdminDevice{Layout: f, AdminDeviceRow: page.AdminDeviceRow{ID: "d", Name: "d", UPN: "u"}}},
		{"admin-certificate", page.AdminDetail{Layout: f, AdminCertificate: page.AdminCertificate{Serial: "4f", State: "pending"}}},
		{"admin-revoke", page.AdminRevoke{Layout: f, Back: "/admin"}}, {"admin-order", page.AdminBulkRevocation{Layout: f, AdminBulkRevocationRow: page.AdminBulkRevocationRow{State: "draft"}}},
		{"admin-orders", page.AdminBulkRevocations{Layout: f}}, {"admin-neworder", page.AdminNewBulkRevocation{Layout: f, Back: "/admin"}}, {"admin-halt", page.AdminHalt{Layout: f}},
		{"admin-exchange", page.AdminExchange{Layout: f, Script: "/x"}},
		{"admin-people", page.AdminPeople{Layout: f}}, {"admin-checks", page.AdminChecks{Layout: f, Verdict: page.AdminVerdict{State: "never", Count: 12}}}, {"admin-export", page.AdminExport{Layout: f}},
		{"admin-authority", page.AdminCAStatus{Layout: f}},
		{"admin-directory", page.AdminDirectory{Layout: f}},
	}
}
