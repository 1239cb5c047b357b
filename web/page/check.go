package page

import "time"

// The verdicts, as Check.Verdict names them: those of portal.Verdict.
const (
	VerdictWorks    = "works"
	VerdictReplaced = "replaced"
	VerdictExpired  = "expired"
	VerdictBlocked  = "blocked"
	VerdictEarly    = "early"
	VerdictForeign  = "foreign"
	VerdictOther    = "other"
	VerdictNone     = "none"
)

// Check is /test on the check address: what the certificate is worth that the browser
// showed. Links to other pages are relative: that address sends them on to the portal.
type Check struct {
	Layout
	Verdict  string
	Device   DeviceCard // of the certificate; zero for foreign ones
	UPN      string     // in the certificate
	From     time.Time  // from when on it is valid
	Valid    bool       // it works, though a newer one may have replaced it
	Foreign  string     // name in a foreign certificate; may be empty
	Wanted   string     // id of the device that should be tested; may be empty
	Platform string     // as Detect guessed it; may be empty
}

func (Check) name() string { return "check" }

// Works reports whether all is well.
func (p Check) Works() bool { return p.Verdict == VerdictWorks }

// Again reports whether another certificate should be chosen.
func (p Check) Again() bool {
	return p.Verdict == VerdictNone || p.Verdict == VerdictForeign || p.Verdict == VerdictOther || p.Verdict == VerdictReplaced
}

// Clock is the time of the portal in seconds since 1970, which a script compares with the
// clock of the device.
func (p Check) Clock() int64 { return p.Now.Unix() }

// Advice names the platform whose advice is shown: one of the platforms.
func (p Check) Advice() string {
	if p.Platform != "" {
		return p.Platform
	}
	return Windows
}
