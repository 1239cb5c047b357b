package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// PageSize is how many rows a page of a search shows.
const PageSize = 50

// errCursor says that a cursor in an address is malformed.
var errCursor = errors.New("invalid cursor")

// Certificate is one row of a search.
type Certificate struct {
	Serial     ca.Serial
	Kind       portal.Kind
	State      State        // Working, Superseded, Expired, Revoked or Pending, now
	Shown      portal.State // as the pages name it
	UPN        string
	Person     portal.PersonID // empty for the portal's own
	PersonName string          // as last known from the directory; may be empty
	Device     portal.DeviceID // empty for the portal's own
	DeviceName string
	Platform   portal.Platform
	NotBefore  time.Time
	NotAfter   time.Time
	Requested  time.Time
	RevokedAt  time.Time // zero unless revoked
	Cause      portal.Cause
	Issuer     string // name of the CA that signed it
}

// Device is one row of a search for devices.
type Device struct {
	portal.Device
	PersonName string
	UPN        string       // of the person, as last known from the directory
	State      State        // of the certificate; empty without one
	Shown      portal.State // of the device, as the pages name it; empty without a certificate
}

// Cursor is where a page of a search ended. It is a position in a fixed order of rows,
// so that new rows do not shift pages.
type Cursor struct {
	Group string `json:"g,omitempty"` // word or name under which the row was found
	ID    string `json:"i,omitempty"` // person or device in that group
	At    int64  `json:"a,omitempty"` // time that orders the rows, milliseconds
	Last  string `json:"l,omitempty"` // serial or device of the last row
	Own   bool   `json:"o,omitempty"` // among the portal's own certificates, behind those of all names
}

// String encodes the cursor for an address; the zero Cursor is empty.
func (p Cursor) String() string {
	if p == (Cursor{}) {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// ParseCursor reads what [Cursor.String] writes. Cursors are neither secret nor signed:
// each is a position in a list that its reader may see.
func ParseCursor(s string) (Cursor, error) {
	var p Cursor
	if s == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(s) > 4*maxField {
		return p, errCursor
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return Cursor{}, errCursor
	}
	return p, nil
}

// Found is a page of rows.
type Found[T any] struct {
	Rows []T
	Next Cursor // start of the next page; zero after the last

	// Scanned is how many rows were scanned, when the search stopped before the page
	// was full: there may be more matches after Next. Zero otherwise.
	Scanned int
}

// CertificateDetail is everything that is recorded of one certificate.
type CertificateDetail struct {
	Certificate
	Profile   string
	SID       string
	Mail      string
	Delivered time.Time // first complete download; zero before
	DER       []byte    // nil while pending

	// The rest is set when the certificate is revoked.
	Reason      int       // reason code in the CRL
	ListedIn    int64     // number of the first CRL, complete or delta, that lists it; 0 for none
	ListedAt    time.Time // when that CRL was published
	ListsUntil  time.Time // expiry of the last complete CRL without it; zero for none
	RevokedBy   string    // actor, or "system"; empty if the audit log has no entry
	RevokedRole string    // role of the actor
	Comment     string    // comment of the actor, if any

	// Where a CA that the portal does not run issued it: that CA must revoke it.
	Elsewhere   bool
	Confirmed   time.Time // when it said that it did; zero before
	ConfirmedBy string    // enroll.ByCA, ByOperator or ByRevoker; empty before, and in old rows
	Tries       int       // how often it was asked
	Obstacle    string    // what it answered last, if it did not

	// What its lists say: the first that named the certificate, the time of the newest that
	// does not, zero when that does or there is none, and when the last list without it ends.
	Named               enroll.Listing
	Absent, AbsentUntil time.Time
}

// Certificates lists a page of certificates.
func (s *Service) Certificates(ctx context.Context, by portal.Actor, f Filter, from Cursor) (Found[Certificate], error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return Found[Certificate]{}, err
	}
	found, err := s.c.Store.Certificates(ctx, f, from, PageSize, s.c.Now())
	return found, storeErr("searching certificates", err)
}

// Devices lists a page of devices.
func (s *Service) Devices(ctx context.Context, by portal.Actor, f Filter, from Cursor) (Found[Device], error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return Found[Device]{}, err
	}
	found, err := s.c.Store.SearchDevices(ctx, f, from, PageSize, s.c.Now())
	return found, storeErr("searching devices", err)
}

// MaxCounted bounds the hits that are counted exactly.
const MaxCounted = 10_000

// Hits is how many rows a search has.
type Hits struct {
	Number int
	More   bool // there are, or may be, more: the count stopped
}

// CountCertificates counts the certificates of a filter.
func (s *Service) CountCertificates(ctx context.Context, by portal.Actor, f Filter) (Hits, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return Hits{}, err
	}
	hits, err := s.c.Store.CountCertificates(ctx, f, s.c.Now())
	return hits, storeErr("counting certificates", err)
}

// CountDevices counts the devices of a filter.
func (s *Service) CountDevices(ctx context.Context, by portal.Actor, f Filter) (Hits, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return Hits{}, err
	}
	hits, err := s.c.Store.CountDevices(ctx, f, s.c.Now())
	return hits, storeErr("counting devices", err)
}

// Certificate returns one certificate, or portal.ErrNotFound.
func (s *Service) Certificate(ctx context.Context, by portal.Actor, serial ca.Serial) (CertificateDetail, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return CertificateDetail{}, err
	}
	d, err := s.c.Store.CertificateDetail(ctx, serial, s.c.Now())
	return d, storeErr("reading certificate", err)
}

// Device returns one device with its newest certificate, or portal.ErrNotFound.
func (s *Service) Device(ctx context.Context, by portal.Actor, id portal.DeviceID) (Device, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return Device{}, err
	}
	found, err := s.c.Store.SearchDevices(ctx, Filter{DeviceID: id}, Cursor{}, 1, s.c.Now())
	if err == nil && len(found.Rows) == 0 {
		err = portal.ErrNotFound
	}
	if err != nil {
		return Device{}, storeErr("finding device", err)
	}
	return found.Rows[0], nil
}

// maxEvents bounds the events on the page of a certificate.
const maxEvents = 20

// Events returns the newest audit entries about a certificate, at most maxEvents.
func (s *Service) Events(ctx context.Context, by portal.Actor, serial ca.Serial) ([]audit.Entry, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, err
	}
	found, err := s.c.Store.Find(ctx, audit.Query{Object: serial.String()}, math.MaxInt64, maxEvents)
	return found.Entries, storeErr("reading events", err)
}

// LastRefusal returns the newest audit entry about a certificate or file that a person did
// not get; the zero value for none.
func (s *Service) LastRefusal(ctx context.Context, by portal.Actor, person portal.PersonID) (audit.Entry, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return audit.Entry{}, err
	}
	found, err := s.c.Store.EntriesAbout(ctx, person, 1, audit.EnrolmentRefused, audit.FileRefused)
	if err != nil || len(found) == 0 {
		return audit.Entry{}, storeErr("reading the last refusal", err)
	}
	return found[0], nil
}

// Holdings lists the newest certificates of a device or person, and counts those that
// would be revoked with it.
func (s *Service) Holdings(ctx context.Context, by portal.Actor, f Filter) (rows []Certificate, live int, err error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, 0, err
	}
	found, err := s.c.Store.Certificates(ctx, f, Cursor{}, gatherBatch, s.c.Now())
	if err != nil {
		return nil, 0, storeErr("listing certificates", err)
	}
	return found.Rows[:min(len(found.Rows), PageSize)], len(revocableSerials(found.Rows)), nil
}
