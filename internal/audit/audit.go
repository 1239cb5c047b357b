// Package ledger holds the portal's audit log as a chain: every entry carries
// the hash of the entry before it, so that a changed, removed or reordered
// entry shows.
//
// The package knows what an entry is, how it is hashed ([Entry]), how the end of a
// chain is signed ([Seal]), how a chain is checked ([Checker]), and how an entry
// leaves the house, as a line of JSON or a message of syslog (RFC 5424). It does
// not store: the store appends an entry in the same transaction as the act it
// records, or the act does not happen.
//
// An entry never holds a secret: no password, key, file, token or session.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// Action names what was done, as "subject.verb". The names are part of the
// export format: add, do not rename.
type Action string

// The actions recorded today.
const (
	SignedIn              Action = "session.signed-in"
	SignInRefused         Action = "session.refused"
	SignedOut             Action = "session.signed-out"
	HandoffMade           Action = "handoff.made"     // a code to continue on a phone
	HandoffRedeemed       Action = "handoff.redeemed" // a phone was let in
	HandoffBurnt          Action = "handoff.burnt"    // somebody chose a wrong number
	EnrolmentRefused      Action = "enrolment.refused"
	CertificateReserved   Action = "certificate.reserved"
	CertificateIssued     Action = "certificate.issued"
	CertificateRevoked    Action = "certificate.revoked"
	CertificateSuperseded Action = "certificate.superseded" // renewed: it works on until the detail "until"
	CertificateRestored   Action = "certificate.restored"   // issued again: what superseded it never arrived
	CertificateRecalled   Action = "certificate.recalled"   // listed as revoked: the restored records do not know it
	MismatchFound         Action = "certificate.marked"     // the directory departed from what it says
	MismatchResolved      Action = "certificate.unmarked"   // and came back
	WatchStopped          Action = "watch.stopped"          // the drift watch saw too much change, or no directory
	WatchResumed          Action = "watch.resumed"
	DeviceRemoved         Action = "device.removed" // one that held no certificate to revoke
	DeviceBlocked         Action = "device.blocked" // likewise
	DeviceRenamed         Action = "device.renamed"
	RequestRejected       Action = "request.rejected"
	AccessRefused         Action = "access.refused" // the policy refused an act of somebody signed in
	PickupRead            Action = "pickup.read"
	PickupWiped           Action = "pickup.wiped"
	ChallengeMade         Action = "challenge.made" // the right to enrol a key made on a device
	ChallengeRead         Action = "challenge.read"
	InvitationMade        Action = "invitation.made" // a pickup code, for somebody's phone
	InvitationApproved    Action = "invitation.approved"
	InvitationRedeemed    Action = "invitation.redeemed" // used up by a certificate
	InvitationEnded       Action = "invitation.ended"    // a newer one took its place
	InvitationRefused     Action = "invitation.refused"  // staff might not make it, or its code did not open
	InvitationPaused      Action = "invitation.paused"   // one of the staff made too many
	PersonRead            Action = "person.read"         // staff looked at somebody's account and devices
	AccountAdded          Action = "account.added"
	AccountRemoved        Action = "account.removed"
	AccountEnabled        Action = "account.enabled"
	AccountDisabled       Action = "account.disabled"
	AccountPassword       Action = "account.password-set"
	CACreated             Action = "ca.created"
	BulkMade              Action = "order.made" // many certificates are to end
	BulkConfirmed         Action = "order.confirmed"
	BulkApproved          Action = "order.approved" // by another administrator
	BulkDropped           Action = "order.dropped"
	BulkLapsed            Action = "order.expired" // nobody said yes in time
	BulkDone              Action = "order.done"
	IssuingHalted         Action = "issuing.halted"
	IssuingResumed        Action = "issuing.resumed"
	ChecksRun             Action = "checks.run"
	CRLRequested          Action = "list.ordered"     // a revocation list, by hand
	TestIssued            Action = "authority.tested" // a certificate for nobody was asked for
	RecordsExported       Action = "records.exported"
	RecordsReplayed       Action = "records.replayed" // what a restored copy had forgotten is brought back
	RootKeyExported       Action = "ca.root-key-exported"
	LogExported           Action = "ledger.exported"
	LogBroken             Action = "ledger.broken" // the chain did not verify
	MailFailed            Action = "mail.failed"   // a letter that was given up
)

// Entry is one line of the audit log. The zero Seq, Prev and Hash are filled by
// [Head.Append].
type Entry struct {
	Seq    int64     // 1 for the first entry, without gaps
	At     time.Time // UTC, milliseconds
	Node   string    // which replica wrote it; empty before there were names
	Action Action

	Actor   string // person who acted: the directory's stable id, or "system"
	Role    string // in which role: employee, helpdesk, auditor, admin, system
	Person  string // whose device or certificate it was, where that is somebody
	Object  string // serial, device id or account the act was about
	Address string // client address without port, empty for the system
	Request string // request id, as in the operator's log

	// Detail holds further facts under short keys, such as "upn" or "reason".
	Detail map[string]string

	Prev [sha256.Size]byte // hash of the entry before; zero for the first
	Hash [sha256.Size]byte // hash of this entry, Prev included
}

// Head is the end of a chain: the number and hash of its last entry. The zero
// Head is an empty chain.
type Head struct {
	Seq  int64
	Hash [sha256.Size]byte
}

// Append numbers e, links it to the head and returns it with the new head.
// Times are cut to milliseconds, the precision that is stored and exported.
func (h Head) Append(e Entry) (Entry, Head) {
	e.Seq = h.Seq + 1
	e.At = e.At.UTC().Truncate(time.Millisecond)
	e.Prev = h.Hash
	e.Hash = e.Sum()
	return e, Head{Seq: e.Seq, Hash: e.Hash}
}

// Every hash opens with the version of its encoding, so that no two encodings
// collide. The first knew no node; entries without one keep it, because what was
// written then must verify for ever.
const (
	formatWithoutNode = "certportal ledger 1"
	formatWithNode    = "certportal ledger 2"
)

// Sum is the SHA-256 of the entry with its Prev, without its Hash. Every field
// is preceded by its length: no two different entries share an encoding.
func (e Entry) Sum() [sha256.Size]byte {
	b := make([]byte, 0, 512)
	if e.Node == "" {
		b = appendField(b, formatWithoutNode)
	} else {
		b = appendField(appendField(b, formatWithNode), e.Node)
	}
	b = appendNumber(b, e.Seq)
	b = appendNumber(b, e.At.UnixMilli())
	for _, field := range [...]string{
		string(e.Action), e.Actor, e.Role, e.Person, e.Object, e.Address, e.Request,
	} {
		b = appendField(b, field)
	}
	b = appendNumber(b, int64(len(e.Detail)))
	for _, key := range e.keys() {
		b = appendField(b, key)
		b = appendField(b, e.Detail[key])
	}
	return sha256.Sum256(append(b, e.Prev[:]...))
}

// keys are those of the details, in order.
func (e Entry) keys() []string {
	if len(e.Detail) == 0 {
		return nil
	}
	keys := make([]string, 0, len(e.Detail))
	for key := range e.Detail {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Follows reports whether e is unaltered and stands directly behind head.
func (e Entry) Follows(head Head) bool {
	return e.Seq == head.Seq+1 && e.Prev == head.Hash && e.Hash == e.Sum()
}

// Head is the end of a chain whose last entry is e.
func (e Entry) Head() Head { return Head{Seq: e.Seq, Hash: e.Hash} }

func appendField(b []byte, s string) []byte {
	return append(appendNumber(b, int64(len(s))), s...)
}

func appendNumber(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n))
}
