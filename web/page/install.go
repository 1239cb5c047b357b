package page

import (
	"strings"
	"time"
)

// The formats of the file, as Install.Format names them.
const (
	Legacy = "legacy" // older devices read it, and nearly all others
	Modern = "modern" // Android 14 and newer, current desktops
)

// Install is /devices/{id}/install: the file, its password and the steps of one
// platform. With an empty Download the time of the file is over, and the page
// offers a new one instead: a form that posts request to the same path.
type Install struct {
	Layout
	Device          DeviceCard
	Password        []string // groups of the install password; nil when it is not shown any more
	Download        string   // address of the file
	OtherFormat     string   // address of the file in the other format; optional
	Profile         bool     // Download is a profile, which holds the anchors too
	DeviceKey       bool     // the device makes its key with the profile: no password; a form gets the certificate alone
	Arrived         bool     // without Download: the device fetched its certificate itself
	Limited         bool     // a phone's session, which gets one certificate: no form for another
	Plain           string   // address of the certificate alone, where there is a profile
	Unverified      bool     // the device does not know who signed the profile, and says so in red
	Mailbox         Mailbox  // to be set up with this certificate; where none is known, empty
	SavedAs         string   // name the browser gives the file, for commands
	Format          string   // of Download: Legacy or Modern
	Platform        string   // whose steps are shown
	Detected        string   // platform of the device that asks, as Detect guessed it; may be empty
	Samsung         bool     // the device that asks is one of Samsung's, and the steps are for it
	Browser         string   // as Detect names it; on iOS all but Safari get a warning
	Anchors         []Anchor // further roots this device must trust; their steps are shown
	Expires         time.Time
	ReadsLeft       int
	ServerAnchor    bool     // the anchors certify a server: iOS needs full trust enabled for them
	AutoStart       bool     // starts the download by itself; for desktops only
	Elsewhere       bool     // without Download: the file is offered to another session, which may be using it
	NotMade         bool     // without Download: the request came to nothing, no file was made
	TokenForNewFile string   // idempotency token for "Get a new file"
	Obstacle        *Problem // without Download: why there can be no new file; nil when there can
}

func (Install) name() string { return "install" }

// ShellName is SavedAs as a word of a shell command.
func (p Install) ShellName() string { return shellWord(p.SavedAs) }

// shellWord quotes the name of a file where it must be: a person copies it into a
// terminal.
func shellWord(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) && name[0] != '-' {
		return name
	}
	// The leading ./ keeps a name that starts with a dash from being an option.
	return "./'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// WrongBrowser reports that the browser saves the file instead of handing it to
// the system: on iOS only Safari can (and the name is known).
func (p Install) WrongBrowser() bool {
	return p.Platform == IOS && p.Detected == IOS && p.Browser != "" && p.Browser != Safari
}

// Mailbox is a mailbox that opens with the certificate.
type Mailbox struct {
	Host    string // of the server; empty where there is no mailbox
	User    string // name to sign in with
	Address string // of mail; may be empty
}

// Anchor is a root certificate to be installed beside the file.
type Anchor struct {
	Name string
	Href string // of the DER file
}

// Making waits for a slow issuer; it reloads itself every five seconds.
type Making struct {
	Layout
	Device string // name of the device
}

func (Making) name() string { return "making" }

// Waiting says that the certificate waits for approval at a CA that the portal does not run.
type Waiting struct {
	Layout
	Device string    // name of the device
	Since  time.Time // when it was asked for
	Here   bool      // this browser has what opens the key later
}

func (Waiting) name() string { return "waiting" }

// Ready says that a certificate came after its request was answered. The form posts to
// /devices/{id}/collect: then the file can be downloaded, for a short time.
type Ready struct {
	Layout
	Device DeviceCard
}

func (Ready) name() string { return "ready" }
