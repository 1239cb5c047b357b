package store

import (
	"crypto/hmac"
	"crypto/rand"
	"strconv"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// Rows that give a right are authenticated with the secret of the installation, over
// every column that decides what they are good for. A row planted or changed in SQL is
// taken for none. An earlier state of a row can be brought back by who kept a copy of
// it: the rest of the checks is for that.

// UseSecret sets the secret of the installation, before the store is used. Without it
// the store authenticates with one of its own that ends with it: rows of other processes
// are none, and its rows are none to them.
func (db *base) UseSecret(s portal.Secret) { db.secret = s }

// ownSecret is the secret of a store that has none of an installation.
func ownSecret() (s portal.Secret) {
	rand.Read(s[:]) // never returns an error, see crypto/rand
	return s
}

// proves reports whether a stored authentication code is the computed one.
func proves(stored []byte, computed [32]byte) bool { return hmac.Equal(stored, computed[:]) }

func milli(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func handoffMAC(s portal.Secret, h signin.Handoff, codeHash, session []byte) [32]byte {
	return s.MAC("certportal hand-off row", string(h.ID), string(codeHash), string(session), string(h.Person), h.Masked,
		strconv.Itoa(h.Number), milli(h.Expires))
}

// invitationMAC authenticates an invitation that is open or waits. One that was redeemed
// keeps the code of its open state, for the case that it is reopened.
func invitationMAC(s portal.Secret, i signin.Invitation, codeHash []byte) [32]byte {
	return s.MAC("certportal invitation row", string(i.ID), string(codeHash), string(i.Person), string(i.MadeBy), string(i.MadeRole),
		milli(i.Made), string(i.Check), i.Note, string(i.Purpose), string(i.Device), strconv.FormatBool(i.Alone), milli(i.Expires),
		string(i.State), string(i.Approver))
}

// challengeMAC covers the certificate that may end where there is one: other challenges
// have the code that older binaries gave them.
func challengeMAC(s portal.Secret, c enroll.StoredChallenge) [32]byte {
	fields := []string{string(c.ID), string(c.SecretHash[:]), string(c.TokenHash[:]), string(c.Device.ID),
		string(c.Device.Person), string(c.Names[:]), milli(c.Made), milli(c.Expires), string(c.Invitation), strconv.FormatBool(c.Renew)}
	if c.Ends != (ca.Serial{}) {
		fields = append(fields, c.Ends.String())
	}
	return s.MAC("certportal challenge row", fields...)
}

// bulkMAC authenticates a bulk revocation without its progress. Its items have codes of
// their own, and their number is part of this one.
func bulkMAC(s portal.Secret, o admin.BulkRevocation) [32]byte {
	approved := ""
	if !o.Approved.IsZero() {
		approved = milli(o.Approved)
	}
	return s.MAC("certportal bulk revocation row", o.ID, string(o.State), o.Filter, string(o.Maker), o.MakerName, o.Role, o.Address,
		o.Request, milli(o.Made), milli(o.Expires), string(o.Cause), o.Comment, string(o.Approver), o.ApproverName, approved,
		strconv.Itoa(o.Items))
}

func bulkItemMAC(s portal.Secret, order string, place int, serial ca.Serial) [32]byte {
	return s.MAC("certportal bulk revocation item", order, strconv.Itoa(place), serial.String())
}
