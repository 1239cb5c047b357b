package portal

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"certportal/ca"
)

// MaxDeviceName is the longest name of a device, in characters.
const MaxDeviceName = 40

// DeviceID names a device for good; it is in addresses and is not secret.
type DeviceID string

// Platform is the kind of system a device runs, which decides the file it gets.
type Platform string

// The platforms, as the form field "platform" names them.
const (
	IOS     Platform = "ios"
	Android Platform = "android"
	Windows Platform = "windows"
	MacOS   Platform = "macos"
	Linux   Platform = "linux"
)

// Platforms lists all platforms in the order the pages show them.
func Platforms() []Platform { return []Platform{IOS, Android, Windows, MacOS, Linux} }

// ParsePlatform reads the value of the form field.
func ParsePlatform(s string) (Platform, error) {
	for _, p := range Platforms() {
		if s == string(p) {
			return p, nil
		}
	}
	return "", &Refusal{Reason: PlatformBad, Field: "platform"}
}

// Device is a named thing of a person. It has certificates, one after the other.
type Device struct {
	ID       DeviceID
	Person   PersonID
	Name     string
	Platform Platform
	Created  time.Time
	Removed  time.Time // zero while the person keeps it
	Blocked  time.Time // when it was reported lost, replaced or given back; zero before
	Profile  string    // name of its Apple profile; empty for devices of older versions, see ProfileName

	// Certificate is the newest one that works, else the newest that was issued or
	// is being issued; the zero value when there is none.
	Certificate Certificate

	// FormerEnds is until when the certificate before works beside the newest, after
	// a renewal; zero when there is none.
	FormerEnds time.Time

	// FormerOutdated says that the certificate before names the person as they were
	// called before.
	FormerOutdated bool
}

// ProfileName is the name of the device's Apple profile among all of the portal.
func (d Device) ProfileName() string {
	if d.Profile == "" {
		return string(d.ID)
	}
	return d.Profile
}

// Working reports whether the device holds a certificate that is valid now.
func (d Device) Working(now time.Time) bool { return d.InForce(now) && d.Certificate.Void.IsZero() }

// InForce reports whether the device holds a certificate that has not ended. Servers accept
// it unless its CA was revoked.
func (d Device) InForce(now time.Time) bool {
	c := d.Certificate
	return (c.Status == Issued || c.Status == Superseded) && now.Before(c.End())
}

// Status is the state of a certificate. Expiry is not a status: it
// follows from NotAfter.
type Status string

// The statuses, as the store keeps them.
const (
	Pending    Status = "pending"    // recorded, perhaps signed, not handed out
	Issued     Status = "issued"     // signed and recorded whole
	Superseded Status = "superseded" // renewed, and still valid until its Ends
	Revoked    Status = "revoked"    // listed in the CRL
)

// Kind says what a certificate is for.
type Kind string

// The kinds of certificates the embedded CA signs.
const (
	KindUser   Kind = "user"
	KindServer Kind = "server" // the portal's own: TLS, OCSP signer, SCEP RA, audit signer, test issuance
)

// Certificate is one X.509 certificate as the store knows it.
type Certificate struct {
	Serial    ca.Serial
	Status    Status
	Kind      Kind
	UPN       string // as in the certificate
	SID       string
	NotBefore time.Time
	NotAfter  time.Time
	Requested time.Time
	Delivered time.Time // first complete read of the file; zero before
	Works     time.Time // when it was first seen to work; zero while that is not known
	RevokedAt time.Time // zero unless revoked
	Cause     Cause     // why it was revoked
	Listed    int64     // number of the first CRL that says so; 0 before it is published

	// ListsUntil is when the last complete CRL that does not say so has run out: from
	// then on no cache can accept it for want of news. Zero unless revoked, and where
	// no list was published before.
	ListsUntil time.Time

	Void    time.Time // when the CA that issued it was revoked; zero for most
	Changed Change    // what the drift watch noticed since it was issued; empty when nothing
	Ends    time.Time // when the portal ends it after a renewal; zero for others
	Next    ca.Serial // what superseded it; zero for others
	DER     []byte    // nil while pending

	// Of a certificate that a CA elsewhere issues or issued: its name in records, whether the
	// request waits for approval there, and when the CA confirmed the revocation.
	Upstream  string
	Waits     bool
	Confirmed time.Time

	// What the lists of that CA say: when the list that names the certificate began, and the
	// newest that does not, zero when that does or there is none; and when the last list that
	// does not ends.
	Named, Absent, AbsentUntil time.Time
}

// End is when the certificate stops working, unless it is revoked earlier.
func (c Certificate) End() time.Time {
	if c.Status == Superseded && !c.Ends.IsZero() {
		return c.Ends
	}
	return c.NotAfter
}

// Change is how the directory departed from what a working certificate says. The
// drift watch notices it.
type Change string

// The changes, gravest first. Those of SID and UPN ask for a new certificate, those before
// end certificates.
const (
	UPNReused       Change = "reused" // another account has the UPN now
	AccountGone     Change = "gone"
	AccountDisabled Change = "disabled"
	AccountExpired  Change = "expired"
	BecameProtected Change = "protected"
	SIDChanged      Change = "sid"
	UPNChanged      Change = "upn"

	// AccountUnread: the account cannot be read in full, so that its state is unknown.
	AccountUnread Change = "unread"
)

// Outdates reports whether the names in the certificate are no longer those of the
// person, who should get a new one.
func (c Change) Outdates() bool { return c == UPNChanged || c == SIDChanged }

// Cause is why the portal revoked a certificate, finer than the reason code of
// the CRL.
type Cause string

// The causes there are.
const (
	Abandoned   Cause = "abandoned"   // the portal stopped between recording and delivering it
	Undelivered Cause = "undelivered" // the file was not fetched in time; the key is gone
	Replaced    Cause = "replaced"    // a newer one is in use: a new file, or the end of a renewal
	Removed     Cause = "removed"     // the person removed the device
	Lost        Cause = "lost"        // the device is lost or stolen
	Retired     Cause = "retired"     // another device took its place
	Returned    Cause = "returned"    // the device was given back
	Left        Cause = "left"        // the person's account is switched off, run out or gone
	Reused      Cause = "reused"      // its UPN belongs to another account now
	Privileged  Cause = "privileged"  // the person became protected
	Withdrawn   Cause = "withdrawn"   // an administrator ended it for a reason of their own
	ByAuthority Cause = "authority"   // the CA elsewhere that issued it revoked it by itself
)

// ReasonCode is the CRL reason of a cause (RFC 5280 section 5.3.1).
func (c Cause) ReasonCode() int {
	switch c {
	case Lost:
		return 1 // keyCompromise: a finder of the device may have the key
	case Left, Reused, Privileged:
		return 3 // affiliationChanged
	case Replaced, Retired:
		return 4 // superseded
	}
	return 5 // cessationOfOperation
}

// ParseLoss reads why a device is blocked, as the form field "reason" names it:
// Lost, Retired or Returned.
func ParseLoss(s string) (Cause, bool) {
	c := Cause(s)
	return c, c.Blocks()
}

// Blocks reports whether the cause is the end of a device and not only of a
// certificate.
func (c Cause) Blocks() bool { return c == Lost || c == Retired || c == Returned }

// Blanks are letters and symbols by their class that show nothing: Hangul fillers
// and the empty Braille pattern.
func Blanks() *unicode.RangeTable {
	return &unicode.RangeTable{R16: []unicode.Range16{
		{Lo: 0x115f, Hi: 0x1160, Stride: 1}, {Lo: 0x2800, Hi: 0x2800, Stride: 1},
		{Lo: 0x3164, Hi: 0x3164, Stride: 1}, {Lo: 0xffa0, Hi: 0xffa0, Stride: 1},
	}}
}

// CleanDeviceName makes the name fit to be shown and stored: NFC, without
// control, format (bidirectional overrides among them) and line characters,
// without outer or doubled spaces. Zero-width joiners stay, emoji need them. It
// refuses a name that is then empty or longer than MaxDeviceName.
func CleanDeviceName(s string) (string, error) {
	s = norm.NFC.String(strings.ToValidUTF8(s, ""))
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u200d':
			return r
		case unicode.IsSpace(r), unicode.Is(Blanks(), r):
			return ' '
		case unicode.Is(unicode.C, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if strings.Trim(s, "\u200d ") == "" {
		return "", &Refusal{Reason: NameEmpty, Field: "name"}
	}
	if utf8.RuneCountInString(s) > MaxDeviceName {
		return "", &Refusal{Reason: NameLong, Field: "name", Limit: MaxDeviceName}
	}
	return s, nil
}

// Renewable says whether the device may have its next certificate now, without
// losing what it holds: nil, or a *Refusal. DeviceBlocked is for a device that
// holds nothing which merely ran out; RenewEarly, with Until, for one whose end is
// further away than the window or than half of the certificate's life, and whose
// names and CA still hold. While the certificate before the newest works, the device may
// have another try: the newest may never have arrived.
func (d Device) Renewable(now time.Time, window time.Duration) error {
	c := d.Certificate
	if !d.Removed.IsZero() || !d.Blocked.IsZero() || c.Status == "" || c.Status == Revoked {
		return &Refusal{Reason: DeviceBlocked, Value: d.Name}
	}
	from := d.RenewFrom(window)
	if c.Status != Pending && (c.Changed.Outdates() || !c.Void.IsZero() || now.Before(d.FormerEnds) || !now.Before(from)) {
		return nil
	}
	return &Refusal{Reason: RenewEarly, Value: d.Name, Until: from}
}

// NewFileEnds reports whether a new file would end a certificate that may be in use: the
// newest, which the device fetched while the one before it still works. A person
// confirms that first.
func (d Device) NewFileEnds(now time.Time) bool {
	c := d.Certificate
	return now.Before(d.FormerEnds) && c.Status == Issued && !c.Delivered.IsZero() && d.Working(now)
}

// RenewFrom is from when on the certificate of the device may be renewed.
func (d Device) RenewFrom(window time.Duration) time.Time {
	c := d.Certificate
	return c.End().Add(-min(window, c.NotAfter.Sub(c.NotBefore)/2))
}
