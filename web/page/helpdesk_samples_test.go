package page_test

import (
	"slices"
	"time"

	"certportal/web/page"
)

// counterFrame is a frame with all parts of the staff pages.
func counterFrame(f page.Layout) page.Layout {
	f.StaffHome = "/helpdesk"
	for _, key := range []string{"helpdesk", "overview", "certificates", "people", "audit", "checks"} {
		f.Staff = append(f.Staff, page.StaffLink{Key: key, Path: "/" + key, Here: key == "helpdesk"})
	}
	return f
}

// counterPages are the pages of the helpdesk, and those of the employee who brings
// what it gave.
func counterPages(f, out page.Layout) []sample {
	staff := counterFrame(f)
	const (
		long = "Donaudampfschifffahrtsgesellschaftskapitänswitwe Maximiliane von und zu Hohenstein-Ödenburg"
		path = "/helpdesk/people/id-of-li"
		code = "7F3K-9QXM-2WTA"
	)
	later := noon().Add(24 * time.Hour)
	rows := []page.PersonRow{
		{Path: path, Name: "Li Wei 李伟", Login: "lwei", Mail: "li.wei@example.com", Department: "Sales", Device: "Büro-Laptop"},
		{Path: path, Name: long, Login: "maximiliane", Mail: "maximiliane.von.und.zu.hohenstein@a-very-long-domain.example.com", Disabled: true},
		{Path: path, Login: "svc-x"},
		{Path: path, Name: "Zoe Unread", Unread: true}, {Unread: true},
	}
	facts := page.PersonFacts{
		Name: long, Login: "lwei", UPN: "lwei@corp.example.com", Mail: "li.wei@example.com", Department: "Sales", EmployeeNumber: "0815",
		Roles: []string{"helpdesk", "auditor", "admin"}, Protected: true, MailLeftOut: "shared",
	}
	var devices []page.HelpdeskDevice
	for i, card := range cards() {
		device := page.HelpdeskDevice{DeviceCard: card, Block: path + "/devices/" + card.ID + "/block"}
		device.Use, device.Fault = fullUse(), deviceFaults()[i%len(deviceFaults())]
		if card.Ended() {
			device.Block, device.Mailbox = "", []page.MailboxCommand{{"list", "Get-MobileDevice -Mailbox 'li.wei@donaudampfschifffahrtsgesellschaft.example.com'"}, {"block", "x"}, {"wipe", "x"}, {"undo", "x"}}
		}
		devices = append(devices, device)
	}
	events := []page.EventRow{
		{At: noon(), What: "certificate.issued", Who: "Hugo Weber", Subject: "Büro-Laptop"},
		{At: noon(), What: "invitation.refused", Why: "code-foreign"},
		{At: noon(), What: "enrolment.refused", Why: "made-up-reason", System: true},
		{At: noon(), What: "made.up", Anonymous: true},
	}
	dossier := page.PersonDetails{Layout: staff, Path: path, Person: facts, State: page.AccountActive, Devices: devices,
		Invited: &page.InvitedLine{State: "open", Expires: later}, Events: events, Failed: events[1:], Notice: "desk.block.done", Subject: "Phone"}
	not := dossier
	not.State, not.Detail, not.NoCode, not.NoBlock, not.Invited = "not-allowed", "Phone users", "staff", "staff", &page.InvitedLine{State: "waiting"}
	unread := dossier
	unread.State, unread.NoCode, unread.NoBlock, unread.Invited = "entry-unread", "unread", "unread", nil
	over := dossier
	over.Person.Mail, over.Person.MailLeftOut = "n/a", "unusable"
	over.Devices = slices.Clone(devices)
	for i := range over.Devices { // the last faults, for which devices has no room
		over.Devices[i].Fault = deviceFaults()[len(deviceFaults())-1-i]
	}
	over.State, over.Paused, over.Invited = "locked", noon(), &page.InvitedLine{State: "expired", Expires: noon()}
	give := page.GiveCode{Callable: true, Layout: staff, Path: path + "/code", Back: path, Person: long, State: page.AccountActive, Devices: cards(),
		Replace: true, Life: 24 * time.Hour, Checked: "other", Note: "knows her", Purpose: "lost", Device: "d2"}
	wrong := give
	wrong.Second, wrong.Errors = true, []page.FieldError{
		{Field: "checked", Key: "refusal.check-missing"}, {Field: "note", Key: "refusal.check-note"},
		{Field: "note", Key: "refusal.check-long", Limit: 200}, {Field: "checked", Key: "refusal.code-no-mail"},
		{Field: "checked", Key: "refusal.code-not-sent"}, {Field: "purpose", Key: "refusal.purpose"}}
	barred := give
	barred.State, barred.Detail = "not-allowed", "Phone users"
	given := page.CodeGiven{Layout: staff, Person: long, Back: path, Again: path + "/code", Slip: path + "/code/i/slip", Address: "portal.example.com/pickup", Code: code,
		Expires: later, Waiting: true, Mail: "l…@example.com", Device: "Büro-Laptop"}
	hidden := given
	hidden.Code = ""
	mailed := hidden
	mailed.Mailed = true
	qr, err := page.NewQR("https://certs.example.com/pickup/7F3K9QXM2WTA")
	if err != nil {
		panic(err)
	}
	slip := page.Slip{Layout: staff, Person: "Li Wei 李伟", Back: path + "/code/i", Code: code, Address: "certs.example.com/pickup", QR: qr, Expires: later, Maker: "HW"}
	longer := slip
	longer.Person = long
	waiting := []page.WaitingCode{
		{Path: "/helpdesk/approvals/i", Person: long, MadeBy: "Hugo Weber", Made: noon(), Checked: "other", Note: "knows her", Purpose: "broken"},
		{Person: "Li Wei", MadeBy: "me", Made: noon(), Checked: "video", Purpose: "new", Mine: true},
	}
	block := page.BlockDevice{Callable: true, Layout: staff, Path: path + "/devices/d1/block", Back: path, Person: long, Device: cards()[0], Reason: "lost", Checked: "video"}
	blockWrong := block
	blockWrong.Errors = []page.FieldError{{Field: "reason", Key: "refusal.block-reason"}, {Field: "checked", Key: "refusal.check-missing"}}
	s := []sample{
		{"find", page.FindPeople{Layout: staff, Query: "li", Asked: true, Found: rows, More: true, Limit: 20}},
		{"find-none", page.FindPeople{Layout: staff, Query: "<li>", Asked: true, Limit: 20}},
		{"find-one", page.FindPeople{Layout: staff, Query: "li", Asked: true, Found: rows[:1], Limit: 20}},
		{"find-short", page.FindPeople{Layout: staff, Query: "l", Limit: 20}},
		{"find-empty", page.FindPeople{Layout: staff, Limit: 20}},
		{"dossier", dossier}, {"dossier-not", not}, {"dossier-over", over}, {"dossier-unread", unread},
		{"givecode", give}, {"givecode-wrong", wrong}, {"givecode-barred", barred},
		{"codegiven", given}, {"codegiven-hidden", hidden}, {"codegiven-mailed", mailed}, {"slip", slip}, {"slip-long", longer},
		{"approvals", page.Approvals{Layout: staff, Waiting: waiting, Notice: "Li Wei"}}, {"approvals-none", page.Approvals{Layout: staff}},
		{"blockdevice", block}, {"blockdevice-wrong", blockWrong},
		{"pickup", page.Pickup{Layout: f}},
		{"pickup-stranger", page.Pickup{Layout: out, Anonymous: true, Errors: []page.FieldError{{Field: "code", Key: "pickup.wrong"}}, Code: code}},
		{"pickup-required", page.Pickup{Layout: f, Required: true, Errors: []page.FieldError{{Field: "code", Key: "pickup.form"}}, Code: "x"}},
		{"pickup-wrong", page.Pickup{Layout: f, Code: code, Counted: true, TriesLeft: 4, Pause: 15 * time.Minute,
			Errors: []page.FieldError{{Field: "code", Key: "pickup.wrong"}}}},
		{"pickup-last", page.Pickup{Layout: f, Code: code, Counted: true, Pause: 15 * time.Minute,
			Errors: []page.FieldError{{Field: "code", Key: "pickup.wrong"}}}},
		{"pickup-fixed", page.Pickup{Layout: out, Code: code, Fixed: true, Anonymous: true, Masked: "L** W**"}},
		{"pickup-ready", page.PickupReady{Layout: f, Device: cards()[0], Token: "tok"}},
	}
	for _, state := range []string{page.CodeRedeemed, page.CodeEnded, page.CodeWaiting, page.CodeExpired, page.CodeVoid, page.CodeUsedUp} {
		s = append(s, sample{"pickup-" + state, page.PickupOver{Layout: f, State: state, At: noon()}})
	}
	return append(s, sample{"login-pickup", page.Login{Layout: out, Example: "lwei", Pickup: true}})
}

// bareCounterPages are the same with as little in them as there may be.
func bareCounterPages(f page.Layout) []sample {
	return []sample{
		{"find", page.FindPeople{Layout: f}}, {"dossier", page.PersonDetails{Layout: f, State: page.AccountActive, Person: page.PersonFacts{Login: "x"}}},
		{"givecode", page.GiveCode{Layout: f, State: page.AccountActive, Back: "/x"}}, {"codegiven", page.CodeGiven{Layout: f, Back: "/x", Again: "/y"}},
		{"slip", page.Slip{Layout: f, Back: "/x"}}, {"approvals", page.Approvals{Layout: f}}, {"blockdevice", page.BlockDevice{Layout: f, Back: "/x"}},
		{"pickup", page.Pickup{Layout: f}}, {"pickup-fixed", page.Pickup{Layout: f, Fixed: true}},
		{"pickupready", page.PickupReady{Layout: f}}, {"pickupover", page.PickupOver{Layout: f, State: page.CodeRedeemed}},
	}
}

// fullUse is a certificate of which all is known.
func fullUse() page.Use {
	return page.Use{Delivered: noon(), Downloads: 3, LastDownload: noon(), Tested: noon(), Verdict: page.VerdictWorks, Asked: noon()}
}
