package succession

import (
	"strconv"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

// Revocation ends an issuing CA for good.
type Revocation struct {
	Name     string
	Serial   ca.Serial // of its certificate
	NotAfter time.Time // of its certificate
	Company  bool      // a company's CA issued it, and lists it
	Reason   int       // as in ca.Revocation
	At       time.Time
}

// RevocationOf describes the revocation of an authority. Its certificate was issued by the
// own root unless company is set.
func RevocationOf(a ca.Authority, company bool, reason int, at time.Time) (Revocation, error) {
	serial, err := ca.SerialOf(a.Certificate.SerialNumber)
	return Revocation{Name: a.Name, Serial: serial, NotAfter: a.Certificate.NotAfter, Company: company, Reason: reason, At: at}, err
}

// Entry is the audit entry of the revocation by an actor.
func (r Revocation) Entry(actor string) audit.Entry {
	return audit.Entry{
		At: r.At, Action: audit.CARevoked, Actor: actor, Role: actor, Object: r.Serial.String(),
		Detail: map[string]string{"ca": r.Name, "reason": strconv.Itoa(r.Reason), "until": r.NotAfter.UTC().Format(time.RFC3339)},
	}
}

// Listed is a CA certificate that the records have as revoked, also where the state of the
// authority is another, as in an older copy of the database.
type Listed struct {
	Serial   ca.Serial
	NotAfter time.Time // of the certificate, in seconds
	Reason   int
	At       time.Time
}
