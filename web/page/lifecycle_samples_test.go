package page_test

import "certportal/web/page"

// lives gives the pages of renewing, losing and naming a device, in their states.
func lives(f page.Layout) []sample {
	week, d := noon().AddDate(0, 0, 7), cards()[1]
	d.Renewable, d.Arrived, d.RenewFrom = true, true, noon()
	wide := d
	wide.Name = "Donaudampfschifffahrtsgesellschaftskapit"
	renewed := cards()[0]
	renewed.Former, renewed.Renewable, renewed.RenewFrom = week, true, noon().AddDate(0, 10, 0)
	arrived := renewed
	arrived.Arrived = true
	working := cards()[0]
	working.RenewFrom = noon().AddDate(0, 10, 0)
	expired := d
	expired.Status, expired.NotAfter, expired.DaysLeft = page.StatusExpired, noon().AddDate(0, 0, -3), 0
	void := wide
	void.ID, void.Status = "d16", page.StatusVoid
	outdated := renewed
	outdated.Outdated = true
	blocked := wide
	blocked.ID, expired.ID, outdated.ID, arrived.ID = "d12", "d13", "d14", "d15"
	blocked.Status, blocked.Renewable = page.StatusBlocked, false
	file := install(f, page.Android)
	file.Device = renewed
	own := file
	own.DeviceKey, own.Profile, own.Platform, own.Password = true, true, page.IOS, nil
	over := file
	over.Download, over.OtherFormat, over.Password, over.Device = "", "", nil, arrived
	there := over
	there.Arrived = true
	asks := arrived
	asks.FileEnds, asks.Works = true, true
	unsure := cards()[1]
	unsure.Works, unsure.Status = true, page.StatusDownloaded
	installAsks := there
	installAsks.Device = asks
	reason := []page.FieldError{{Field: "reason", Key: page.ErrReason}}
	tested, unsureTested := asks, unsure
	tested.Confirmed, tested.Test, unsureTested.Test = true, "https://certs.example.com:8444/test?device=d1", "https://certs.example.com:8444/test?device=d2"
	return append(append(checkSamples(f, wide), troubleSamples(f, wide)...), []sample{
		{"device-test", page.Device{Layout: f, Device: tested, Created: noon(), Made: noon(), Delivered: noon(), Works: noon(), Token: "tok-8"}},
		{"device-asks-test", page.Device{Layout: f, Device: unsureTested, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-8"}},
		{"home-life", page.Home{Layout: f, Platform: page.IOS, Devices: []page.DeviceCard{d, void, expired, outdated, arrived, blocked}, Used: 3, Limit: 5, Mobile: true}},
		{"device-renewable", page.Device{Layout: f, Device: d, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-6"}},
		{"device-early", page.Device{Layout: f, Device: working, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-6"}},
		{"device-expired", page.Device{Layout: f, Device: expired, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-6"}},
		{"device-void", page.Device{Layout: f, Device: void, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-6"}},
		{"device-renewed", page.Device{Layout: f, Device: renewed, Created: noon(), Made: noon(), PickupEnd: noon(), Token: "tok-6"}},
		{"device-arrived", page.Device{Layout: f, Device: arrived, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-6"}},
		{"device-blocked", page.Device{Layout: f, Device: blocked, Created: noon(), Made: noon(), Blocked: noon(), Token: "tok-6"}},
		{"device-blocked-removed", page.Device{Layout: f, Device: blocked, Created: noon(), Blocked: noon(), Removed: true}},
		{"install-renewed", file}, {"install-renewed-own", own}, {"install-renewed-over", over}, {"install-renewed-there", there},
		{"renew", page.Renew{Layout: f, Device: wide, Until: week, Token: "tok-7", Profile: true}},
		{"renew-expired", page.Renew{Layout: f, Device: expired, Token: "tok-7"}},
		{"renew-void", page.Renew{Layout: f, Device: void, Token: "tok-7"}},
		{"renew-brought", page.Renew{Layout: f, Device: d, Until: week, Token: "tok-7", FromCSR: true, Request: "-----BEGIN NONSENSE-----",
			Errors: []page.FieldError{{Field: "csr", Key: "bring.denied.request-form"}}}},
		{"lost-which", page.LostDevices{Layout: f, Devices: []page.DeviceCard{wide, working}}},
		{"lost-which-none", page.LostDevices{Layout: f}},
		{"lost", page.Lost{Layout: f, Device: wide}},
		{"lost-errors", page.Lost{Layout: f, Device: d, Reason: page.LossReturned, Errors: reason}},
		{"blocked", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListDone, Until: week, Stolen: true}},
		{"blocked-on-a-phone", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListDone, Until: week, Stolen: true, Mobile: true}},
		{"blocked-over", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListDone}},
		{"blocked-soon", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListSoon, Stolen: true}},
		{"blocked-late", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListLate}},
		{"blocked-theirs", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListTheirs, Stolen: true}},
		{"blocked-theirs-done", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListTheirsDone, Confirmed: noon()}},
		{"blocked-theirs-listed", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListTheirsListed, Confirmed: noon(), Until: week}},
		{"blocked-theirs-over", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListTheirsListed, Confirmed: noon()}},
		{"blocked-theirs-unlisted", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListTheirsUnlisted, Confirmed: noon(), Until: week}},
		{"blocked-theirs-missing", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListTheirsMissing, Confirmed: noon(), Stolen: true}},
		{"device-theirs", page.Device{Layout: f, Device: blocked, Created: noon(), Made: noon(), Delivered: noon(), ByAuthority: noon(), Token: "tok-8"}},
		{"blocked-waits", page.Blocked{Layout: f, Device: blocked, At: noon(), List: page.ListWaits}},
		{"blocked-none", page.Blocked{Layout: f, Device: expired, At: noon(), List: page.ListNone}},
		{"home-this", page.Home{Layout: f, Platform: page.Android, This: &d, Devices: cards()[:1], Used: 2, Limit: 5, Mobile: true, Token: "tok-9"}},
		{"home-this-open", page.Home{Layout: f, Platform: page.Windows, This: &working, ThisOpen: true, Used: 1, Limit: 5, Token: "tok-9"}},
		{"home-this-asks", page.Home{Layout: f, Platform: page.MacOS, This: &asks, Used: 1, Limit: 5, Token: "tok-9"}},
		{"home-this-outdated", page.Home{Layout: f, Platform: page.IOS, This: &outdated, Used: 1, Limit: 5, Mobile: true, ThisNoFile: true}},
		{"home-this-void", page.Home{Layout: f, Platform: page.IOS, This: &void, Used: 1, Limit: 5, Mobile: true, Token: "tok-9"}},
		{"home-this-barred", page.Home{Layout: f, Platform: page.IOS, This: &expired, Used: 1, Limit: 5, Mobile: true, Obstacle: obstacle(page.Protected)}},
		{"known", page.KnownDevice{Layout: f, Device: wide}},
		{"known-early", page.KnownDevice{Layout: f, Device: working}},
		{"device-asks-first", page.Device{Layout: f, Device: unsure, Created: noon(), Made: noon(), Delivered: noon(), Works: noon(), Token: "tok-8"}},
		{"newfile", page.NewFile{Layout: f, Device: asks, Fetched: noon(), Token: "tok-8"}},
		{"device-asks", page.Device{Layout: f, Device: asks, Created: noon(), Made: noon(), Delivered: noon(), Token: "tok-8"}},
		{"install-asks", installAsks},
		{"renew-asks", page.Renew{Layout: f, Device: asks, Until: week, Token: "tok-8"}},
		{"rename", page.Rename{Layout: f, Device: wide, Name: wide.Name}},
		{"rename-often", page.Rename{Layout: f, Device: d, Name: "Work tablet", Errors: []page.FieldError{{Field: "name", Key: page.ErrRenamedOften, Limit: 20}}}},
		{"rename-errors", page.Rename{Layout: f, Device: d, Name: "Work tablet", Errors: []page.FieldError{{Field: "name", Key: page.ErrRenameTaken, Value: "Work tablet"}}}},
	}...)
}

// troubleSamples are the reasons why a device does not work, with the button for each, for
// the device with the longest name.
func troubleSamples(f page.Layout, d page.DeviceCard) []sample {
	d.Test, d.Renewable = "https://certs.example.com:8444/test?device=d1", true
	of := func(fault string) page.Trouble {
		return page.Trouble{Layout: f, Device: d, Fault: fault, Since: noon(), Downloads: 4, Token: "tok-8", Mobile: true}
	}
	var all []sample
	for _, fault := range deviceFaults() {
		all = append(all, sample{"trouble-" + fault, of(fault)})
	}
	phone, barred, account, open, own, elsewhere, untestable := of("expired"), of("expired"), of("account"), of("file"), of("ended"), of("blocked"), of("untested")
	untestable.Downloads, phone.Limited, open.Open, own.FromCSR, elsewhere.Mobile, untestable.Device.Test = 1, true, true, true, false, ""
	barred.Obstacle, account.Obstacle = obstacle(page.Protected), obstacle(page.Locked)
	return append(all, []sample{
		{"trouble-phone", phone}, {"trouble-barred", barred}, {"trouble-account-barred", account}, {"trouble-file-open", open},
		{"trouble-ended-own", own}, {"trouble-blocked-elsewhere", elsewhere}, {"trouble-untestable", untestable},
	}...)
}

// checkSamples are the verdicts of the check page, for the device with the longest name.
func checkSamples(f page.Layout, d page.DeviceCard) []sample {
	f.SignedIn, f.Path = "", "/test?device=d1"
	check := page.Check{Layout: f, Device: d, UPN: "li.wei@corp.example.com", From: noon(), Wanted: "d1", Platform: page.Android}
	var all []sample
	for _, v := range []string{page.VerdictWorks, page.VerdictReplaced, page.VerdictExpired, page.VerdictBlocked, page.VerdictEarly, page.VerdictOther} {
		check.Verdict = v
		all = append(all, sample{"check-" + v, check})
	}
	check.Verdict, check.Valid, check.Platform = page.VerdictReplaced, true, page.IOS
	all = append(all, sample{"check-replaced-valid", check})
	for _, platform := range []string{page.IOS, page.Android, page.Windows, page.MacOS, page.Linux} {
		all = append(all, sample{"check-none-" + platform, page.Check{Layout: f, Verdict: page.VerdictNone, Platform: platform}})
	}
	return append(all,
		sample{"check-foreign", page.Check{Layout: f, Verdict: page.VerdictForeign, Foreign: "alice@other.example", Wanted: "d1"}},
		sample{"check-foreign-nameless", page.Check{Layout: f, Verdict: page.VerdictForeign}})
}
