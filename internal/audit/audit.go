// Package audit defines the portal's audit log, a hash chain: every entry contains the
// hash of the entry before it, so that changed, removed or reordered entries are
// detected.
//
// The package defines entries and their hashes ([Entry]), signatures over the end of
// the chain ([Checkpoint]), verification ([Checker]), and the export formats, JSON
// lines and syslog messages (RFC 5424). It does not store anything: the store appends
// an entry in the same transaction as the act it records, and without the entry the act
// does not happen.
//
// Entries contain no secrets: no password, key, file, token or session.
package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// Action names what was done, as "subject.verb". The values are part of the export
// format: add, do not rename.
type Action string

// The actions.
const (
	SignedIn              Action = "session.signed-in"
	SignInRefused         Action = "session.refused"
	SignedOut             Action = "session.signed-out"
	HandoffMade           Action = "handoff.made"     // a code to continue on a phone
	HandoffRedeemed       Action = "handoff.redeemed" // a phone was signed in
	HandoffBurnt          Action = "handoff.burnt"    // a wrong number was typed
	EnrolmentRefused      Action = "enrolment.refused"
	CertificateReserved   Action = "certificate.reserved"
	CertificateIssued     Action = "certificate.issued"
	CertificateRevoked    Action = "certificate.revoked"
	CertificateSuperseded Action = "certificate.superseded" // renewed; valid until the detail "until"
	CertificateRestored   Action = "certificate.restored"   // valid again: its successor was never delivered
	CertificateWorks      Action = "certificate.works"      // it was seen to work, by the detail "by"
	CertificateRecalled   Action = "certificate.recalled"   // revoked, because the restored database does not know it
	UpstreamWaits         Action = "upstream.waits"         // a CA elsewhere has the request, or may have it
	UpstreamEnded         Action = "upstream.ended"         // the request led to no certificate
	UpstreamCollected     Action = "upstream.collected"     // the file of a certificate that came later is there to be fetched
	UpstreamRevoked       Action = "upstream.revoked"       // it was reported that the CA elsewhere revoked it
	UpstreamTested        Action = "upstream.tested"        // a certificate is asked for to test a CA elsewhere; it is revoked when it comes
	UpstreamNotRevoked    Action = "upstream.not-revoked"   // the program on its host could not revoke there, or a list shows that it did not
	MismatchFound         Action = "certificate.marked"     // certificate and directory differ
	MismatchResolved      Action = "certificate.unmarked"   // and match again
	UPNReused             Action = "upn.reused"             // certificates of its former owner were revoked; the person owns it now
	WatchStopped          Action = "watch.stopped"          // too many changes, or no directory
	WatchResumed          Action = "watch.resumed"
	DeviceRemoved         Action = "device.removed" // one without certificate
	DeviceBlocked         Action = "device.blocked" // one without certificate
	DeviceRenamed         Action = "device.renamed"
	DeviceTrouble         Action = "device.trouble" // its person says that it does not work, with the detail "symptom"
	RequestRejected       Action = "request.rejected"
	AccessRefused         Action = "access.refused" // refused by package authz
	PickupRead            Action = "pickup.read"
	FileRefused           Action = "pickup.refused" // a file was asked for that is closed
	PickupWiped           Action = "pickup.wiped"
	ChallengeMade         Action = "challenge.made" // the right to enrol a key generated on a device
	ChallengeRead         Action = "challenge.read"
	InvitationMade        Action = "invitation.made" // a pickup code
	InvitationApproved    Action = "invitation.approved"
	InvitationRedeemed    Action = "invitation.redeemed" // used up by a certificate
	InvitationEnded       Action = "invitation.ended"    // replaced by a newer one
	InvitationRefused     Action = "invitation.refused"  // not allowed, or a wrong code
	InvitationPaused      Action = "invitation.paused"   // a staff member made too many
	PersonRead            Action = "person.read"         // staff read a person's account and devices
	AccountAdded          Action = "account.added"
	AccountRemoved        Action = "account.removed"
	AccountEnabled        Action = "account.enabled"
	AccountDisabled       Action = "account.disabled"
	AccountPassword       Action = "account.password-set"
	CACreated             Action = "ca.created"
	CARequested           Action = "ca.requested" // a key and a request for a company's CA
	CAImported            Action = "ca.imported"  // the certificate that a company's CA made of it
	CAAdded               Action = "ca.added"     // the certificate of an issuing CA is in the folder
	CAScheduled           Action = "ca.scheduled" // when it becomes the one that issues
	CAActivated           Action = "ca.activated" // it issues; the one before only signs lists and answers
	CARetired             Action = "ca.retired"
	CampaignEnded         Action = "campaign.ended" // no certificate of the revoked CA is left to replace
	CARevoked             Action = "ca.revoked"     // it issues nothing any more
	BulkMade              Action = "order.made"     // a bulk revocation
	BulkConfirmed         Action = "order.confirmed"
	BulkApproved          Action = "order.approved" // by a second administrator
	BulkDropped           Action = "order.dropped"
	BulkLapsed            Action = "order.expired" // not confirmed or approved in time
	BulkDone              Action = "order.done"
	IssuingHalted         Action = "issuing.halted"
	IssuingResumed        Action = "issuing.resumed"
	ChecksRun             Action = "checks.run"
	CRLRequested          Action = "list.ordered"     // a CRL, manually
	TestIssued            Action = "authority.tested" // a test certificate
	RecordsExported       Action = "records.exported"
	RecordsReplayed       Action = "records.replayed" // missing in a restored database, added again
	RootKeyExported       Action = "ca.root-key-exported"
	CACopied              Action = "ca.copied" // its files, sealed, for another replica
	CAReceived            Action = "ca.received"
	LogExported           Action = "ledger.exported"
	LogBroken             Action = "ledger.broken"  // the chain does not verify
	MailFailed            Action = "mail.failed"    // a message was given up
	MailResent            Action = "mail.resent"    // staff sent it again
	TLSOrdered            Action = "tls.ordered"    // the portal's own TLS certificate, by ACME
	BackupMade            Action = "backup.made"    // or begun
	BackupWritten         Action = "backup.written" // its file is whole: the object is its SHA-256
	BackupRestored        Action = "backup.restored"
	DatabaseMoved         Action = "database.moved" // or begun
	DatabaseReopened      Action = "database.reopened"
)

// Entry is one entry of the audit log. [Head.Append] fills Seq, Prev and Hash.
type Entry struct {
	Seq    int64     // from 1, without gaps
	At     time.Time // UTC, milliseconds
	Node   string    // replica that wrote it; empty in old entries
	Action Action

	Actor   string // the directory's id of the person who acted, or "system"
	Role    string // employee, helpdesk, auditor, admin or system
	Person  string // owner of the device or certificate, if any
	Object  string // serial, device id or account
	Address string // client address without port; empty for the system
	Request string // request id, as in the log

	// Detail has further values under short keys, such as "upn" or "reason".
	Detail map[string]string

	Prev [sha256.Size]byte // hash of the previous entry; zero for the first
	Hash [sha256.Size]byte // hash of this entry including Prev
}

// Head is the end of a chain: sequence number and hash of its last entry. The zero Head
// is an empty chain.
type Head struct {
	Seq  int64
	Hash [sha256.Size]byte
}

// Append numbers e, links it to the head and returns it with the new head. It truncates
// the time to milliseconds, the precision of storage and export.
func (h Head) Append(e Entry) (Entry, Head) {
	e.Seq = h.Seq + 1
	e.At = e.At.UTC().Truncate(time.Millisecond)
	e.Prev = h.Hash
	e.Hash = e.Sum()
	return e, Head{Seq: e.Seq, Hash: e.Hash}
}

// Every hash starts with the version of its encoding, so that encodings cannot collide.
// Version 1 has no node; entries without node keep it, because they must verify
// forever.
const (
	formatWithoutNode = "certportal ledger 1"
	formatWithNode    = "certportal ledger 2"
)

// Sum returns the SHA-256 of the entry with Prev and without Hash. Every field is
// preceded by its length, so that different entries have different encodings.
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

// keys returns the keys of Detail, sorted.
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

// Follows reports whether e is unaltered and directly follows head.
func (e Entry) Follows(head Head) bool {
	return e.Seq == head.Seq+1 && e.Prev == head.Hash && e.Hash == e.Sum()
}

// Head returns the end of a chain whose last entry is e.
func (e Entry) Head() Head { return Head{Seq: e.Seq, Hash: e.Hash} }

func appendField(b []byte, s string) []byte {
	return append(appendNumber(b, int64(len(s))), s...)
}

func appendNumber(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n))
}
