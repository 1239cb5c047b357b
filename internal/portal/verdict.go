package portal

// Verdict is what a certificate is worth that a browser showed to the check address.
type Verdict string

// The verdicts.
const (
	VerdictWorks    Verdict = "works"
	VerdictReplaced Verdict = "replaced" // a newer one took its place; it may be valid until Certificate.End
	VerdictExpired  Verdict = "expired"
	VerdictBlocked  Verdict = "blocked" // revoked, or its device was removed
	VerdictEarly    Verdict = "early"   // not valid yet by the portal's clock
	VerdictForeign  Verdict = "foreign" // not issued by this portal to a person
	VerdictOther    Verdict = "other"   // of another device than the one to be tested
	VerdictNone     Verdict = "none"    // the browser showed no certificate
)
