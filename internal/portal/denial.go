package portal

// Denial is why a device's request for a certificate is refused, in a word for
// operators and the audit log. The device learns no reason.
type Denial struct {
	Why string
}

// Error is for operators.
func (d *Denial) Error() string { return "denied: " + d.Why }

// The reasons of a Denial. The audit log keeps them: add, do not rename.
const (
	ChallengeMissing = "challenge-missing"
	ChallengeUnknown = "challenge-unknown"
	ChallengeUsed    = "challenge-used"
	ChallengeExpired = "challenge-expired"
	ChallengeNames   = "challenge-names" // the directory renamed the person in between
	KeyRefused       = "key"             // weak, or of a kind that is not certified
	KeyReused        = "key-reused"      // another certificate has this key
	HolderUnknown    = "holder-unknown"  // the certificate that signs is not byte for byte a stored one
	HolderEnded      = "holder-ended"    // it is revoked or has run out
	HolderRenewed    = "holder-renewed"  // it was renewed before
	HolderEarly      = "holder-early"    // the device has, or is getting, a newer one
	DeviceGone       = "device-removed"
)
