package page

import "time"

// Trouble is /devices/{id}/trouble, after its person said that it does not work: the
// likeliest reason, what mends it, help by symptom, and the helpdesk.
type Trouble struct {
	Layout
	Device    DeviceCard
	Fault     string    // the likeliest reason, one of those of enroll.Faults
	Since     time.Time // the moment that its sentence names; zero for none
	Downloads int       // how often the file was downloaded
	Open      bool      // the file can be downloaded in this session, or is being made
	Token     string    // idempotency token for "Get a new file"
	FromCSR   bool      // its person has the key: there is no new file
	Limited   bool      // a phone's session, which gets no new file
	Mobile    bool      // the page is open on a phone or tablet
	Obstacle  *Problem  // why there can be no new certificate; nil when there can
}

func (Trouble) name() string { return "trouble" }

// The buttons that mend a fault, as Trouble.Remedy names them.
const (
	RemedyInstall  = "install"  // the page of the steps, where the file is
	RemedyNewFile  = "newfile"  // a new file
	RemedyRenew    = "renew"    // the page that renews
	RemedyTest     = "test"     // the check page
	RemedyNew      = "new"      // a new device
	RemedyHandoff  = "handoff"  // a new device, which is a phone, from a computer
	RemedyObstacle = "obstacle" // none before what is in the way is gone
	RemedyNone     = ""         // the helpdesk
)

// Remedy is the button that mends the fault.
func (p Trouble) Remedy() string {
	switch p.Fault {
	case "blocked":
		return p.another()
	case "account":
		if p.Obstacle != nil {
			return RemedyObstacle
		}
		return RemedyNone
	case "mail":
		return RemedyNone
	case "void", "expired", "renamed", "superseded":
		if p.Device.Renewable && !p.Limited && p.Obstacle == nil {
			return RemedyRenew
		}
	case "notdownloaded", "file":
		if p.Open || p.FromCSR {
			return RemedyInstall
		}
	case "earlier", "testagain", "untested":
		if p.Device.Test != "" {
			return RemedyTest
		}
	}
	return p.fresh()
}

// fresh is the button to a new certificate for the device.
func (p Trouble) fresh() string {
	switch {
	case p.Limited:
		return RemedyNone
	case p.Obstacle != nil:
		return RemedyObstacle
	case p.FromCSR:
		return RemedyNew
	}
	return RemedyNewFile
}

// another is the button to another device.
func (p Trouble) another() string {
	switch {
	case p.Limited:
		return RemedyNone
	case isPhone(p.Device) && !p.Mobile:
		return RemedyHandoff
	}
	return RemedyNew
}

// Also reports whether a new file is offered beside the button, where nothing else helps.
func (p Trouble) Also() bool {
	remedy := p.Remedy()
	return p.fresh() == RemedyNewFile && (remedy == RemedyTest || remedy == RemedyInstall || p.Fault == "mail")
}

// Symptoms reports whether help by symptom is shown: not where nothing that its person does
// on the device lets it in again.
func (p Trouble) Symptoms() bool { return p.Fault != "blocked" && p.Fault != "account" }

// Color is that of the box about the fault.
func (p Trouble) Color() string {
	switch p.Fault {
	case "blocked", "account", "ended", "void", "expired":
		return "bad"
	case "mail", "testagain", "untested":
		return "note"
	}
	return "warn"
}

// FaultTitle is the sentence for a fault of a device whose file was downloaded so often.
func (v view) FaultTitle(fault string, downloads int) (sentence, error) {
	if fault == "file" {
		return v.T("fault.file.h1", "Count", downloads)
	}
	return v.T("fault." + fault + ".h1")
}
