// Package ledger holds the portal's audit log as a chain: every entry carries
// the hash of the entry before it, so that a changed, removed or reordered
// entry shows.
//
// The package knows what an entry is and how it is hashed. It does not store:
// the store appends an entry in the same transaction as the act it records, or
// the act does not happen.
//
// An entry never holds a secret: no password, key, file, token or session.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
	"time"
)

// Action names what was done, as "subject.verb". The names are part of the
// export format: add, do not rename.
type Action string

// The actions recorded today.
const (
	SignedIn            Action = "session.signed-in"
	SignInRefused       Action = "session.refused"
	SignedOut           Action = "session.signed-out"
	HandoffMade         Action = "handoff.made"     // a code to continue on a phone
	HandoffRedeemed     Action = "handoff.redeemed" // a phone was let in
	HandoffBurnt        Action = "handoff.burnt"    // somebody chose a wrong number
	EnrolmentRefused    Action = "enrolment.refused"
	CertificateReserved Action = "certificate.reserved"
	CertificateIssued   Action = "certificate.issued"
	CertificateRevoked  Action = "certificate.revoked"
	CertificateMarked   Action = "certificate.marked"   // the directory departed from what it says
	CertificateUnmarked Action = "certificate.unmarked" // and came back
	WatchStopped        Action = "watch.stopped"        // the drift watch saw too much change, or no directory
	WatchResumed        Action = "watch.resumed"
	DeviceRemoved       Action = "device.removed" // one that held no certificate to revoke
	RequestRejected     Action = "request.rejected"
	AccessRefused       Action = "access.refused" // the policy refused an act of somebody signed in
	PickupRead          Action = "pickup.read"
	PickupWiped         Action = "pickup.wiped"
	ChallengeMade       Action = "challenge.made" // the right to enrol a key made on a device
	ChallengeRead       Action = "challenge.read"
	AccountAdded        Action = "account.added"
	AccountRemoved      Action = "account.removed"
	AccountEnabled      Action = "account.enabled"
	AccountDisabled     Action = "account.disabled"
	AccountPassword     Action = "account.password-set"
	CACreated           Action = "ca.created"
	RootKeyExported     Action = "ca.root-key-exported"
)

// Entry is one line of the audit log. The zero Seq, Prev and Hash are filled by
// [Head.Append].
type Entry struct {
	Seq    int64     // 1 for the first entry, without gaps
	At     time.Time // UTC, milliseconds
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

// formatVersion opens every hash, so that a later encoding cannot collide with
// this one.
const formatVersion = "certportal ledger 1"

// Sum is the SHA-256 of the entry with its Prev, without its Hash. Every field
// is preceded by its length: no two different entries share an encoding.
func (e Entry) Sum() [sha256.Size]byte {
	h := sha256.New()
	writeField(h, formatVersion)
	writeNumber(h, e.Seq)
	writeNumber(h, e.At.UnixMilli())
	for _, field := range []string{
		string(e.Action), e.Actor, e.Role, e.Person, e.Object, e.Address, e.Request,
	} {
		writeField(h, field)
	}
	writeNumber(h, int64(len(e.Detail)))
	for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
		writeField(h, key)
		writeField(h, e.Detail[key])
	}
	h.Write(e.Prev[:])
	return [sha256.Size]byte(h.Sum(nil))
}

// Follows reports whether e is unaltered and stands directly behind head.
func (e Entry) Follows(head Head) bool {
	return e.Seq == head.Seq+1 && e.Prev == head.Hash && e.Hash == e.Sum()
}

func writeField(h hash.Hash, s string) {
	writeNumber(h, int64(len(s)))
	h.Write([]byte(s))
}

func writeNumber(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}
