package page

import "time"

// AdminCAStatus is /admin/ca: the state of the two CAs, their CRLs and OCSP, and the
// acts on them.
type AdminCAStatus struct {
	Layout
	CAs     []AdminCA
	OCSP    *AdminOCSP // nil where nothing is answered online
	Sealed  bool       // the issuing key does not open
	Stopped bool       // the issuing CA was revoked, and none issues in its place
	Away    bool       // the root's key is kept elsewhere

	Company bool // the root is the company's, which publishes its list

	UpstreamLists []AdminUpstream // CAs that the portal does not run, with the lists that certificates name

	Addresses  []AdminCheck // the public addresses, and what the last look at them found here
	Trial      AdminCheck   // the last test certificate, step by step; Name is empty where there can be none
	Elsewhere  []AdminElsewhere
	Directory  string // page of the CAs that Active Directory knows; empty without
	Made       int64  // number of the list that was just made; 0 for none
	Failed     string // why none could be made: key after "admin.ca.failed."; may be empty
	MayPublish bool
	MayCheck   bool
	MayTry     bool
}

func (AdminCAStatus) name() string { return "admincastatus" }

// AdminCA is one of the CAs.
type AdminCA struct {
	Name        string // "root", "issuing", "issuing-2"
	Kind        string // "root" or "issuing": key after "admin.ca."
	Number      int    // of a later issuing CA, from 2; 0 for the first and a root
	State       string // of an issuing CA: key after "admin.ca.state."; empty for a root
	Subject     string
	Key         string
	Fingerprint string
	NotAfter    time.Time
	Days        int    // until then
	End         string // how near that is: key after "admin.ca.end."
	Lists       []AdminCRL
	Held        *AdminHeld // nil for a root
}

// AdminHeld is how many people and devices have a certificate in use of a CA.
type AdminHeld struct {
	People   int
	Devices  int
	Counting bool   // it is not known yet
	Path     string // of the list of the certificates
}

// AdminCRL is the state of a CRL.
type AdminCRL struct {
	Delta      bool  // it adds to a complete list
	Number     int64 // 0 while there is none
	ThisUpdate time.Time
	NextUpdate time.Time
	Published  time.Time
	Next       time.Time // when the next one is due by the clock; zero when it is not made by itself
	Percent    int       // of its life that is over
	Level      string    // key after "admin.ca.level."
	Size       int       // bytes
	Entries    int
	Waiting    bool      // a revocation is in no CRL yet
	Trouble    string    // in English, for operators; empty when well
	Since      time.Time // of the trouble
	Targets    []AdminTarget
}

// AdminTarget is a place to which a CRL is copied.
type AdminTarget struct {
	Name    string
	Number  int64 // of the list that is there; 0 for none
	At      time.Time
	Trouble string // in English; empty when well
}

// AdminUpstream is a CA that the portal does not run.
type AdminUpstream struct {
	Name  string // of the settings
	Lists []AdminUpstreamList
}

// AdminUpstreamList is the revocation list at one address.
type AdminUpstreamList struct {
	Address                         string
	Level                           string // key after "admin.ca.level."
	Number                          string // empty when the list has none
	ThisUpdate, NextUpdate, Checked time.Time
	Size                            int       // bytes
	Bad                             bool      // it cannot be used
	Since                           time.Time // when Bad
	Detail                          string    // in English: why
}

// AdminOCSP is the state of the OCSP responder.
type AdminOCSP struct {
	Signer   string    // empty when there is none
	NotAfter time.Time // of the signer
	Renews   time.Time
	Kept     int
	Life     int // hours that an answer is valid
	Followed time.Time
	Trouble  string // in English; empty when well
	Since    time.Time
}

// AdminRevocationStatus is the current state of a revocation.
type AdminRevocationStatus struct {
	At     time.Time
	By     string // who did it; empty when it is not known
	Role   string
	Cause  string // key after "admin.cause."
	Code   int    // the reason in the revocation list (RFC 5280 section 5.3.1)
	Why    string // the comment
	Serial string // where the page is not about this certificate alone; else empty

	List      int64     // number of the first list that names it; 0 while none does
	Listed    time.Time // when that was published
	OCSP      string    // one of the words below
	Elsewhere bool      // a CA that the portal does not run must list it
	Confirmed time.Time // when that CA said that it did; zero before
	ByHost    bool      // its host said so, not the CA or its list
	Tries     int       // how often it was asked
	Obstacle  string    // what it answered last

	// What its lists say: when the list, or online answer, that named the certificate first
	// was made, zero when none did; and of when the newest list is that does not name it,
	// zero when that does.
	NamedAt              time.Time
	NamedIn, NamedNumber string
	NamedOnline          bool
	Absent               time.Time

	Until time.Time // until when a cache may still accept it, at least while List is 0; zero when it may not any more
}

// Settled reports whether nothing more is to be done: a list names the certificate, or a CA
// elsewhere confirmed the revocation and no list of it says otherwise.
func (s AdminRevocationStatus) Settled() bool {
	return s.List > 0 || !s.Confirmed.IsZero() && s.Absent.IsZero()
}

// What OCSP responses say about a revoked certificate, as AdminRevocationStatus.OCSP names it.
const (
	OCSPRevoked = "told" // that it is revoked
	OCSPStale   = "late" // the responses lag behind the store
	OCSPNone    = "none" // the certificate has no OCSP address
	OCSPOff     = "off"  // the portal has no OCSP responder
)
