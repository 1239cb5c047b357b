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
	"certportal/internal/portal"
)

// PageSize is how many rows a page of a search shows.
const PageSize = 50

// errPlace says that an address does not come from a page of this portal.
var errCursor = errors.New("not a place in a list")

// Certificate is one row of a search.
type Certificate struct {
	Serial     ca.Serial
	Kind       portal.Kind
	State      State // at the moment of asking; a working one that ends soon is Working
	UPN        string
	Person     portal.PersonID // empty for the portal's own
	PersonName string          // as the directory last called them; may be empty
	Device     portal.DeviceID // empty for the portal's own
	DeviceName string
	Platform   portal.Platform
	NotBefore  time.Time
	NotAfter   time.Time
	Requested  time.Time
	RevokedAt  time.Time // zero unless revoked
	Cause      portal.Cause
}

// Device is one row of a search for devices.
type Device struct {
	portal.Device
	PersonName string
	UPN        string // of the person, as the directory last called them
	State      State  // of the certificate; empty when there is none
}

// Place is where a page of a search ended. It is a position in an order of rows that
// does not change, so what is added meanwhile moves nothing.
type Cursor struct {
	Group string `json:"g,omitempty"` // word or name that led to the row
	ID    string `json:"i,omitempty"` // of person or device in that group
	At    int64  `json:"a,omitempty"` // moment the rows are ordered by, milliseconds
	Last  string `json:"l,omitempty"` // serial or device of the last row
}

// String is the place as it stands in an address; empty for the beginning.
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

// ParsePlace reads what [Place.String] gives. It is not secret and not signed: any
// place is a place in a list that its reader may see.
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
	Next Cursor // where the next page begins; the zero Place when this was the last

	// Looked is how many rows were looked at, when the search stopped before the page
	// was full: there may be more behind Next. Zero otherwise.
	Scanned int
}

// Detail is all that is known of one certificate.
type CertificateDetail struct {
	Certificate
	Profile   string
	SID       string
	Mail      string
	Delivered time.Time // first complete read; zero before
	DER       []byte    // nil while pending

	// The rest is meaningful when it is revoked.
	Reason      int       // code in the revocation list
	ListedIn    int64     // number of the first revocation list, complete or delta, that names it; 0 when none does
	ListedAt    time.Time // when that was published
	ListsUntil  time.Time // when the last complete list that lacks it has run out; zero when there was none
	RevokedBy   string    // person who did it, or "system"; empty when the ledger does not tell
	RevokedRole string    // in which role
	Comment     string    // their comment, where they left one
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

// Certificate reads one certificate whole, or ErrNotFound.
func (s *Service) Certificate(ctx context.Context, by portal.Actor, serial ca.Serial) (CertificateDetail, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return CertificateDetail{}, err
	}
	d, err := s.c.Store.CertificateDetail(ctx, serial, s.c.Now())
	return d, storeErr("reading certificate", err)
}

// Device reads one device with its newest certificate, or ErrNotFound.
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

// maxEvents is how many events of a certificate its page shows.
const maxEvents = 20

// Events gives what the ledger tells of a certificate, newest first, at most 20.
func (s *Service) Events(ctx context.Context, by portal.Actor, serial ca.Serial) ([]audit.Entry, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, err
	}
	found, err := s.c.Store.Find(ctx, audit.Query{Object: serial.String()}, math.MaxInt64, maxEvents)
	return found.Entries, storeErr("reading events", err)
}

// Holdings lists the certificates of a device, newest first, and those of a person
// that can still be ended, so that a page says what is about to end.
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
