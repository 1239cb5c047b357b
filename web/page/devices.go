package page

import "time"

// The states of a device, as DeviceCard.Status names them: those of portal.State. Each is shown as a word with a colour, never as a colour alone.
const (
	StatusMaking        = "making"
	StatusNotDownloaded = "notdownloaded"
	StatusDownloaded    = "downloaded"
	StatusWorks         = "works"
	StatusEndsSoon      = "endssoon"
	StatusReplaced      = "replaced"
	StatusBlocked       = "blocked"
	StatusExpired       = "expired"
	StatusVoid          = "void"
	StatusNeverFetched  = "neverfetched"
	StatusRemoved       = "removed"
)

// DeviceCard is a device as the lists show it.
type DeviceCard struct {
	ID       string // of the address /devices/{id}
	Name     string
	Platform string    // one of the platforms
	Serial   string    // of the newest certificate, hexadecimal; may be empty
	Status   string    // one of the states
	NotAfter time.Time // end of the certificate; zero while there is none
	DaysLeft int       // whole days until NotAfter, used by StatusEndsSoon
	Outdated bool      // it works, but names the person as they were called before

	Renewable bool      // it may have its next certificate now
	RenewFrom time.Time // from when on it may; zero where it never will
	Former    time.Time // until when the certificate before works beside the newest; zero without
	Arrived   bool      // the device has the newest certificate
	Confirmed bool      // which was seen to work
	Works     bool      // and it is in force
	FileEnds  bool      // a new file would end the newest, which may be in use

	Test string // address of the check page for it; empty where there is none

	FormerOutdated bool // the certificate before names the person as they were called before
}

// Asks reports whether its person should say whether the certificate works.
func (d DeviceCard) Asks() bool { return d.Works && (!d.Confirmed || !d.Former.IsZero()) }

// Fine reports whether there is nothing to do about the device.
func (d DeviceCard) Fine() bool { return d.Status == StatusDownloaded || d.Status == StatusWorks }

// Ended reports whether the certificate ended before its time.
func (d DeviceCard) Ended() bool {
	return d.Status == StatusReplaced || d.Status == StatusVoid || d.Status == StatusBlocked || d.Status == StatusNeverFetched || d.Status == StatusRemoved
}

// Home is /: the person's own devices, newest first. Without any device it offers a
// certificate for this one.
type Home struct {
	Layout
	Platform string // as Detect guessed it; decides the words of the button
	Devices  []DeviceCard
	Old      []DeviceCard // ended more than 30 days ago, folded away
	Used     int
	Limit    int
	Mobile   bool   // the page is open on a phone or tablet
	Services string // what the certificate opens, such as "mail"; empty takes the renderer's
	Removed  string // name of a device that was removed just now

	This       *DeviceCard // the device that the page is open on; nil when it is not known
	ThisOpen   bool        // its file waits to be downloaded
	ThisNoFile bool        // its person has the key: there is no new file
	Token      string      // idempotency token for its "Get a new file"

	Obstacle   *Problem // why the person can have no certificate for a new device; nil when they can
	CodeNeeded bool     // they need a pickup code first
}

// Barred reports that no device of the person can have a certificate.
func (p Home) Barred() bool { return p.Obstacle != nil && !p.Obstacle.Quota() }

func (Home) name() string { return "home" }

// Wording picks the words of the button by the device that asks. A Mac may be an
// iPad, so it is just a device.
func (p Home) Wording() string {
	switch {
	case p.Mobile:
		return "phone"
	case p.Platform == Windows, p.Platform == Linux:
		return "computer"
	}
	return "device"
}

// Any reports whether the person has a device.
func (p Home) Any() bool { return len(p.Devices) > 0 || p.This != nil }

// KnownDevice is /new on a device that the person enrolled before: it asks whether that
// one is meant.
type KnownDevice struct {
	Layout
	Device DeviceCard
}

func (KnownDevice) name() string { return "known" }

// NewDevice is /new. The form posts name, platform and request.
type NewDevice struct {
	Layout
	Name        string // as it was typed; empty shows Suggested, unless there are errors
	Suggested   string // as Renderer.SuggestName gives it
	Platform    string // one of the platforms, sent along
	Token       string // idempotency token, sent along as "request"
	Guessed     bool   // the platform is a guess, not a choice
	Errors      []FieldError
	DuplicateID string // device that has the name already; optional

	CSR *CSRForm // for a key of one's own; nil where it is not offered
}

func (NewDevice) name() string { return "new" }

func (p NewDevice) faults() []FieldError { return p.Errors }

// Value is the value of the name field.
func (p NewDevice) Value() string {
	if p.Name == "" && (len(p.Errors) == 0 || p.csrOpen()) {
		return p.Suggested
	}
	return p.Name
}

// ChoosePlatform is /new/platform: a GET form that leads back to /new?p=….
type ChoosePlatform struct {
	Layout
	Selected  string // one of the platforms; may be empty
	IPadMaybe bool   // says it is a Mac, and may be an iPad
}

func (ChoosePlatform) name() string { return "platform" }

// What a person finished on a device, as Device.Done names it.
const (
	DoneRenamed = "renamed"
	DoneRenewed = "renewed"
)

// Device is /devices/{id}. Getting a new file posts request to
// /devices/{id}/install; the other acts have pages of their own.
type Device struct {
	Layout
	Device    DeviceCard
	Created   time.Time // when the device was named
	Made      time.Time // when its certificate was made; zero without
	Blocked   time.Time // when it was blocked; zero before
	Delivered time.Time // first complete download; zero before
	Works     time.Time // when it was first seen to work; zero before
	PickupEnd time.Time // until when the file can be fetched; zero when that is over
	Token     string    // idempotency token for "Get a new file"
	Removed   bool      // the device is out of use: facts only, no buttons
	FromCSR   bool      // its person has the key: there is no new file
	Obstacle  *Problem  // why the device can have no new certificate; nil when it can
	Done      string    // what was done just now: DoneRenamed, DoneRenewed or nothing
	Mobile    bool      // the page is open on a phone or tablet

	ByAuthority time.Time // when a CA elsewhere revoked the certificate by itself; zero for most
}

// Elsewhere reports whether this is a phone's and the page is open on a computer.
func (p Device) Elsewhere() bool { return isPhone(p.Device) && !p.Mobile }

// isPhone reports whether a device is likely a phone.
func isPhone(d DeviceCard) bool { return d.Platform == IOS || d.Platform == Android }

func (Device) name() string { return "device" }

// NewFile is /devices/{id}/newfile: it asks before a new file ends the newest one. The
// form posts request and ends to /devices/{id}/install.
type NewFile struct {
	Layout
	Device  DeviceCard
	Fetched time.Time // when the newest file was downloaded
	Token   string    // idempotency token, sent along as "request"
}

func (NewFile) name() string { return "newfile" }

// RemoveDevice asks before /devices/{id}/remove is posted, without any field.
type RemoveDevice struct {
	Layout
	Device DeviceCard
}

func (RemoveDevice) name() string { return "remove" }

// Quota says that no further device fits, and offers to remove one.
type Quota struct {
	Layout
	Limit   int
	Devices []DeviceCard
}

func (Quota) name() string { return "quota" }
