package page_test

import (
	"time"

	"certportal/web/page"
)

// noon is the moment all samples are about.
func noon() time.Time { return time.Date(2026, 11, 22, 13, 17, 0, 0, time.UTC) }

// sample is a page with a name for files and subtests.
type sample struct {
	name string
	page page.Page
}

func config() page.Config {
	return page.Config{
		Org:         "Example Co",
		Helpdesk:    page.Helpdesk{Phone: "+49 (0)30 1234 567", Mail: "helpdesk@example.com", Hours: "Mo–Fr 8:00–17:00", AfterHours: "+49 30 1234 999"},
		PasswordURL: "https://password.example.com/",
		Location:    time.FixedZone("CET", 3600),
	}
}

func layout(lang string) page.Layout {
	return page.Layout{
		Lang: lang, Path: "/new?p=ios", SignedIn: "Li Wei", RequestID: "K7QM-2WTA",
		InApp: "", PageURL: "https://certs.example.com/new", Now: noon(),
	}
}

func cards() []page.DeviceCard {
	return []page.DeviceCard{
		{ID: "d1", Name: "Li Wei’s iPhone", Platform: page.IOS, Serial: "4fa29b0c11d27e88a0b1c2d3e4f50617", Status: page.StatusWorks, NotAfter: noon().AddDate(1, 0, 0), DaysLeft: 365},
		{ID: "d2", Name: "Work tablet", Platform: page.Android, Serial: "0b12", Status: page.StatusEndsSoon, NotAfter: noon().AddDate(0, 0, 12), DaysLeft: 12},
		{ID: "d3", Name: "Büro-Laptop Flügel C", Platform: page.Windows, Serial: "0c13", Status: page.StatusNotDownloaded, NotAfter: noon().AddDate(1, 0, 0), DaysLeft: 365},
		{ID: "d4", Name: "MacBook", Platform: page.MacOS, Serial: "0d14", Status: page.StatusReplaced, NotAfter: noon().AddDate(0, 4, 0), DaysLeft: 120},
		{ID: "d5", Name: "Linux", Platform: page.Linux, Status: page.StatusMaking},
	}
}

func oldCards() []page.DeviceCard {
	return []page.DeviceCard{{ID: "d9", Name: "Old phone", Platform: page.Android, Serial: "0e", Status: page.StatusExpired, NotAfter: noon().AddDate(0, -3, 0)}}
}

func install(f page.Layout, platform string) page.Install {
	return page.Install{
		Layout: f, Device: cards()[0], Password: []string{"k7mw", "3hpx", "9trd"},
		Download: "/d/Zt0kEN/example-co-li-wei-s-iphone.p12?format=legacy", OtherFormat: "/d/Zt0kEN/example-co-li-wei-s-iphone.p12?format=modern",
		SavedAs: "Example Co-Li Wei’s iPhone.p12",
		Format:  page.Legacy, Platform: platform, Detected: platform, Browser: page.Safari,
		Anchors: []page.Anchor{{Name: "Example Co Exchange Root", Href: "/ca/exchange-root.cer"}},
		Expires: noon().Add(15 * time.Minute), ReadsLeft: 5, ServerAnchor: true, TokenForNewFile: "tok-2",
	}
}

// filled gives every page with every field set, in as many states as it has.
func filled(lang string) []sample {
	f := layout(lang)
	out := f
	out.SignedIn = ""
	idp := "Anmeldedienst der Donaudampfschifffahrtsgesellschaft"
	inApp := out
	inApp.InApp = "WeChat"
	s := []sample{
		{"login", page.Login{Layout: out, Example: "lwei or lwei@example.com", Next: "/new"}},
		{"staff", page.Problem{Layout: staffLayout(lang), Kind: page.AccessRole}},
		{"login-errors", page.Login{Layout: out, Username: "lwei", Example: "lwei", Errors: []page.FieldError{
			{Field: "username", Key: page.ErrUsernameEmpty}, {Field: "password", Key: page.ErrPasswordEmpty}}}},
		{"login-wrong", page.Login{Layout: inApp, Username: "lwei", Example: "lwei", Errors: []page.FieldError{{Field: "username", Key: page.ErrWrong}}, TriesLeft: 2, Pause: 15 * time.Minute}},
		{"login-lost", page.Login{Layout: out, Next: "/lost", Pickup: true}},
		{"login-pickup", page.Login{Layout: out, Next: "/pickup", Pickup: true}},
		{"login-timedout", page.Login{Layout: out, Over: page.OverIdle, Next: "/"}},
		{"login-lost-elsewhere", page.Login{Layout: out, Over: page.OverLost, Next: "/"}},
		{"login-over", page.Login{Layout: out, Over: page.OverOther, Next: "/"}},
		{"login-sso", page.Login{Layout: out, Example: "lwei", Next: "/new", Provider: idp}},
		{"login-sso-wrong", page.Login{Layout: inApp, Username: "lwei", Provider: idp, Pause: 24 * time.Hour,
			Errors: []page.FieldError{{Field: "username", Key: page.ErrWrong}}}},
		{"login-sso-denied", page.Login{Layout: out, Example: "lwei", Provider: idp,
			Errors: []page.FieldError{{Field: "sso", Key: page.ErrSSODenied, Value: idp}}}},
		{"login-sso-only", page.Login{Layout: out, Provider: idp, PasswordOff: true, Over: page.OverIdle,
			Errors: []page.FieldError{{Field: "sso", Key: page.ErrSSOFailed, Value: idp}}}},
		{"paused", page.Paused{Layout: out, Until: noon().Add(15 * time.Minute)}},
		{"paused-network", page.Paused{Layout: out, Until: noon().Add(15 * time.Minute), Network: true}},
		{"problem-identity-provider-form", page.Problem{Layout: out, Kind: page.Provider, Detail: idp, SignIn: "/login?next=%2Fnew"}},
		{"home", page.Home{Layout: f, Platform: page.IOS, Devices: cards(), Old: oldCards(), Used: 2, Limit: 5, Mobile: true}},
		{"home-empty-phone", page.Home{Layout: f, Platform: page.IOS, Limit: 5, Mobile: true}},
		{"home-empty-desktop", page.Home{Layout: f, Platform: page.Windows, Limit: 5, Services: "Mail"}},
		{"home-barred", page.Home{Layout: f, Platform: page.IOS, Limit: 5, Mobile: true, Obstacle: obstacle(page.NotAllowed)}},
		{"home-barred-devices", page.Home{Layout: f, Platform: page.Windows, Devices: cards(), Used: 2, Limit: 5, Obstacle: obstacle(page.Halted)}},
		{"home-quota", page.Home{Layout: f, Platform: page.IOS, Devices: cards(), Used: 5, Limit: 5, Mobile: true, Obstacle: obstacle(page.QuotaFull)}},
		{"home-code", page.Home{Layout: f, Platform: page.IOS, Limit: 5, Mobile: true, CodeNeeded: true}},
		{"device-barred", page.Device{Layout: f, Device: cards()[0], Created: noon(), Delivered: noon(), Token: "tok-3", Obstacle: obstacle(page.SuffixForeign)}},
		{"new", page.NewDevice{Layout: f, Suggested: "Li’s iPhone", Platform: page.IOS, Token: "tok-1", Guessed: true}},
		{"new-mac", page.NewDevice{Layout: f, Suggested: "Li’s Mac", Platform: page.MacOS, Token: "tok-1", Guessed: true}},
		{"new-errors", page.NewDevice{Layout: f, Name: "Work tablet", Suggested: "Li’s iPhone", Platform: page.Android, Token: "tok-1",
			Errors: []page.FieldError{{Field: "name", Key: page.ErrNameTaken, Value: "Work tablet"}}, DuplicateID: "d2"}},
		{"new-long", page.NewDevice{Layout: f, Token: "tok-1", Errors: []page.FieldError{
			{Field: "name", Key: page.ErrNameLong, Limit: 40}, {Field: "platform", Key: page.ErrPlatform}}}},
		{"new-bring", page.NewDevice{Layout: f, Suggested: "Li’s Linux PC", Platform: page.Linux, Token: "tok-1", CSR: &page.CSRForm{Token: "tok-6"}}},
		{"new-bring-errors", page.NewDevice{Layout: f, Suggested: "Li’s Linux PC", Platform: page.Linux, Token: "tok-1", Errors: []page.FieldError{
			{Field: "key-name", Key: page.ErrNameLong, Limit: 40}, {Field: "csr", Key: "bring.denied.request-private-key"}},
			CSR: &page.CSRForm{Open: true, Name: "Build server", Request: "-----BEGIN CERTIFICATE REQUEST-----", Token: "tok-6"}}},
		{"bring", page.CSRDevice{Layout: f, Device: cards()[0], PEM: "/devices/d1/certificate.pem", DER: "/devices/d1/certificate.cer", SavedAs: "Example Co-Li Wei’s Laptop.pem"}},
		{"bring-ended", page.CSRDevice{Layout: f, Device: cards()[3]}},
		{"device-bring", page.Device{Layout: f, Device: cards()[0], Created: noon(), Delivered: noon(), FromCSR: true}},
		{"platform", page.ChoosePlatform{Layout: f, Selected: page.MacOS, IPadMaybe: true}},
		{"making", page.Making{Layout: f, Device: "Li Wei’s iPhone"}},
		{"waiting", page.Waiting{Layout: f, Device: "Li Wei’s iPhone", Since: noon(), Here: true}},
		{"ready", page.Ready{Layout: f, Device: page.DeviceCard{ID: "d5", Name: "Li Wei’s iPhone", Platform: page.IOS, Status: page.StatusNotDownloaded}}},
		{"waiting-elsewhere", page.Waiting{Layout: f, Device: "Li Wei’s iPhone", Since: noon()}},
		{"device", page.Device{Layout: f, Device: cards()[0], Created: noon(), Delivered: noon(), Token: "tok-3"}},
		{"device-open", page.Device{Layout: f, Device: cards()[2], Created: noon(), PickupEnd: noon().Add(time.Minute), Token: "tok-3"}},
		{"remove", page.RemoveDevice{Layout: f, Device: cards()[1]}},
		{"quota", page.Quota{Layout: f, Limit: 5, Devices: cards()}},
		{"help", page.Help{Layout: f}},
		{"anchors", page.Anchors{Layout: out, Platform: page.IOS, ChainPEM: "/ca/chain.pem", ChainP7B: "/ca/chain.p7b", Items: anchorItems()}},
	}
	s = append(s, handoffs(f, out)...)
	s = append(s, counterPages(f, out)...)
	s = append(s, uglyAdmin(f)...)
	s = append(s, auditPages(f)...)
	for _, platform := range []string{page.IOS, page.Android, page.Windows, page.MacOS, page.Linux} {
		s = append(s, sample{"install-" + platform, install(f, platform)})
		s = append(s, sample{"anchors-" + platform, page.Anchors{Layout: f, Platform: platform, Items: anchorItems()}})
	}
	firefox := install(f, page.IOS)
	firefox.Browser, firefox.ServerAnchor, firefox.Format = "Firefox", false, page.Modern
	samsung := install(f, page.Android)
	samsung.Samsung, samsung.ReadsLeft = true, 1
	s = append(s, sample{"install-samsung", samsung})
	late := install(f, page.IOS)
	late.Password = nil
	used := install(f, page.Android)
	used.Download, used.OtherFormat, used.ReadsLeft = "", "", 0
	over := used
	over.Password = nil
	noMail := install(f, page.IOS)
	noMail.Profile, noMail.Plain, noMail.OtherFormat, noMail.Unverified = true, "/d/Zt0kEN/x.p12?format=legacy", "", true
	mailed := noMail
	mailed.Mailbox, mailed.ServerAnchor, mailed.Unverified = page.Mailbox{Host: "mail.example.com", User: "lwei@example.com", Address: "li.wei@example.com"}, false, false
	onMac := noMail
	onMac.Platform, onMac.Detected, onMac.AutoStart = page.MacOS, page.MacOS, true
	apps := install(f, page.Android)
	apps.Mailbox = mailed.Mailbox
	s = append(s, sample{"install-profile", noMail}, sample{"install-profile-mail", mailed},
		sample{"install-profile-mac", onMac}, sample{"install-mailapps", apps})
	own := mailed
	own.DeviceKey, own.Plain, own.Password, own.ReadsLeft, own.Unverified = true, "", nil, 0, true
	ownPhone := own
	ownPhone.Limited, ownPhone.Mailbox, ownPhone.ServerAnchor = true, page.Mailbox{}, true
	arrived := over
	arrived.Platform, arrived.Arrived, arrived.Mailbox = page.IOS, true, mailed.Mailbox
	arrivedPhone := arrived
	arrivedPhone.Limited, arrivedPhone.Mailbox = true, page.Mailbox{}
	s = append(s, sample{"install-own", own}, sample{"install-own-phone", ownPhone},
		sample{"install-arrived", arrived}, sample{"install-arrived-phone", arrivedPhone})
	barred := over
	barred.Obstacle = obstacle(page.Protected)
	barredArrived := arrived
	barredArrived.Obstacle = obstacle(page.NoSID)
	s = append(s, sample{"install-barred", barred}, sample{"install-barred-arrived", barredArrived})
	notMade := over
	notMade.NotMade, notMade.Device.Status, notMade.Device.NotAfter = true, page.StatusNeverFetched, time.Time{}
	s = append(s, sample{"install-notmade", notMade})
	elsewhere := over
	elsewhere.Elsewhere = true
	auto := install(f, page.Windows)
	auto.AutoStart = true
	s = append(s, sample{"install-firefox", firefox}, sample{"install-late", late}, sample{"install-used", used},
		sample{"install-over", over}, sample{"install-elsewhere", elsewhere}, sample{"install-auto", auto})
	long := f
	long.SignedIn = "a.very.long.local.part.of.an.electronic.mail.address@a.very.long.company.example.com"
	wide := cards()[:1]
	wide[0].Name = "Donaudampfschifffahrtsgesellschaftskapit"
	s = append(s, sample{"home-long", page.Home{Layout: long, Devices: wide, Used: 1, Limit: 5}},
		sample{"device-long", page.Device{Layout: long, Device: wide[0], Token: "tok-4"}})
	old := cards()
	old[0].Outdated, old[0].Name = true, wide[0].Name
	old[1].Outdated = true // and it runs out soon
	s = append(s, sample{"home-outdated", page.Home{Layout: f, Platform: page.IOS, Devices: old, Used: 2, Limit: 5, Mobile: true}},
		sample{"device-outdated", page.Device{Layout: f, Device: old[0], Created: noon(), Delivered: noon(), Token: "tok-5"}},
		sample{"device-outdated-bring", page.Device{Layout: f, Device: old[0], Created: noon(), Delivered: noon(), FromCSR: true}},
		sample{"device-outdated-removed", page.Device{Layout: f, Device: old[0], Created: noon(), Removed: true}})
	s = append(s, lives(f)...)
	for _, kind := range kinds() {
		s = append(s, sample{"problem-" + string(kind), page.Problem{Layout: f, Kind: kind, At: noon(), Platform: page.IOS,
			DeviceName: "Li Wei’s iPhone", DeviceID: "d1", Detail: "Phone users"}})
	}
	retry := &page.Retry{Action: "/new", Fields: []page.Hidden{{Name: "name", Value: "x"}, {Name: "request", Value: "tok"}}}
	return append(s, sample{"problem-retry", page.Problem{Layout: f, Kind: page.Issuer, Retry: retry}},
		sample{"problem-approve", page.Problem{Layout: f, Kind: page.SecondPerson, Approve: "/admin/devices/d1/revoke"}})
}

// obstacle is what keeps a person from a certificate.
func obstacle(kind page.Kind) *page.Problem {
	return &page.Problem{Kind: kind, Detail: "Phone users", Limit: 5}
}

func anchorItems() []page.AnchorItem {
	print256 := "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08"
	return []page.AnchorItem{
		{Name: "Example Co Root CA 2026", Subject: "CN=Example Co Root CA 2026,O=Example Co", Fingerprint: print256, NotAfter: noon().AddDate(20, 0, 0), Own: true, HrefCER: "/ca/root.cer", HrefPEM: "/ca/root.pem"},
		{Name: "Example Co Issuing CA 1", Subject: "CN=Example Co Issuing CA 1,O=Example Co", Fingerprint: print256, NotAfter: noon().AddDate(10, 0, 0), Own: true, Issuing: true, HrefCER: "/ca/issuing.cer", HrefPEM: "/ca/issuing.pem"},
		{Name: "Example Co Exchange Root", Subject: "CN=Example Co Exchange Root", Fingerprint: print256, NotAfter: noon().AddDate(3, 0, 0), HrefCER: "/ca/exchange-root.cer", HrefPEM: "/ca/exchange-root.pem"},
	}
}

func kinds() []page.Kind {
	return []page.Kind{
		page.NotFound, page.CrossSite, page.Unreadable, page.TooLarge, page.MethodNotAllowed, page.TooMany, page.Busy, page.Server,
		page.Issuer, page.Directory, page.Store, page.Locked, page.Disabled, page.ExpiredAccount, page.PasswordOld,
		page.NotAllowed, page.NoUPN, page.NoSID, page.BadIdentity, page.EntryUnread, page.SuffixForeign, page.LinkExpired, page.LinkUsed, page.Changed, page.Halted, page.NoAuthority, page.IssuerDenied,
		page.LinkReplaced, page.LinkRemoved, page.NotRemoved, page.NotSignedOut,
		page.LinkBlocked, page.LinkBarred, page.RenewEarly, page.DeviceBlocked, page.NotBlocked,
		page.Provider, page.Restricted, page.Protected, page.Conflicting, page.UnknownPerson, page.TooOften, page.SecondPerson,
		page.PausedPickup, page.PausedInvites,
		page.AccessRole, page.AccessSelf, page.AccessSame, page.AccessProtected, page.AccessStaff, page.AccessUnread,
	}
}

// staffFrame is the frame of staff pages, with every part there is.
func staffLayout(lang string) page.Layout {
	f := layout(lang)
	f.Path, f.StaffHome = "/admin/certificates", "/helpdesk"
	for _, key := range []string{"helpdesk", "overview", "certificates", "people", "audit", "checks"} {
		f.Staff = append(f.Staff, page.StaffLink{Key: key, Path: "/admin/" + key, Here: key == "certificates"})
	}
	return f
}

// minimal gives every page with as little in it as a handler may ever put there.
func minimal(lang string) []sample {
	f := page.Layout{Lang: lang}
	s := []sample{
		{"login", page.Login{Layout: f}},
		{"login-sso", page.Login{Layout: f, Provider: "x"}},
		{"paused", page.Paused{Layout: f}},
		{"home", page.Home{Layout: f}},
		{"home-card", page.Home{Layout: f, Devices: []page.DeviceCard{{ID: "a"}}, Old: []page.DeviceCard{{ID: "b"}}}},
		{"new", page.NewDevice{Layout: f}},
		{"new-bring", page.NewDevice{Layout: f, CSR: &page.CSRForm{}}},
		{"bring", page.CSRDevice{Layout: f, PEM: "/devices/x/certificate.pem", DER: "/devices/x/certificate.cer"}},
		{"bring-ended", page.CSRDevice{Layout: f, Limited: true}},
		{"platform", page.ChoosePlatform{Layout: f}},
		{"install", page.Install{Layout: f}},
		{"install-bare", page.Install{Layout: f, Download: "/d/x/y.p12"}},
		{"install-bare-profile", page.Install{Layout: f, Download: "/d/x/y.mobileconfig", Profile: true, Platform: page.IOS}},
		{"install-bare-mailapps", page.Install{Layout: f, Download: "/d/x/y.p12", Platform: page.Android, Mailbox: page.Mailbox{Host: "x"}}},
		{"install-bare-own", page.Install{Layout: f, Download: "/d/x/y.mobileconfig", Profile: true, DeviceKey: true, Platform: page.IOS}},
		{"install-bare-arrived", page.Install{Layout: f, Arrived: true}},
		{"making", page.Making{Layout: f}},
		{"waiting", page.Waiting{Layout: f}},
		{"ready", page.Ready{Layout: f, Device: page.DeviceCard{ID: "d", Name: "d", Platform: page.IOS, Status: page.StatusNotDownloaded}}},
		{"device", page.Device{Layout: f, Device: page.DeviceCard{Name: "d"}}},
		{"device-removed", page.Device{Layout: f, Removed: true, Device: page.DeviceCard{Name: "d"}}},
		{"remove", page.RemoveDevice{Layout: f}},
		{"quota", page.Quota{Layout: f}},
		{"renew", page.Renew{Layout: f}},
		{"newfile", page.NewFile{Layout: f}},
		{"trouble", page.Trouble{Layout: f, Fault: "untested"}},
		{"check", page.Check{Layout: f, Verdict: page.VerdictNone}},
		{"known", page.KnownDevice{Layout: f}},
		{"home-this", page.Home{Layout: f, This: &page.DeviceCard{ID: "a"}}},
		{"renew-brought", page.Renew{Layout: f, FromCSR: true}},
		{"lost", page.Lost{Layout: f}},
		{"lost-which", page.LostDevices{Layout: f, Devices: []page.DeviceCard{{ID: "a"}}}},
		{"blocked", page.Blocked{Layout: f}},
		{"rename", page.Rename{Layout: f}},
		{"help", page.Help{Layout: f}},
		{"anchors", page.Anchors{Layout: f, Items: []page.AnchorItem{{}}}},
		{"handoff", page.Handoff{Layout: f}},
		{"handoff-open", page.Handoff{Layout: f, State: page.HandoffOpen}},
		{"go", page.Go{Layout: f}},
		{"goconfirm", page.GoConfirm{Layout: f}},
		{"goover", page.GoOver{Layout: f}},
		{"golimited", page.GoLimited{Layout: f}},
	}
	s = append(s, bareCounterPages(f)...)
	s = append(s, bareAdmin(f)...)
	for _, kind := range kinds() {
		s = append(s, sample{"problem-" + string(kind), page.Problem{Layout: f, Kind: kind}})
	}
	return s
}
