package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// BulkLife is how long a bulk revocation waits for its maker, and then for the second
// administrator.
const BulkLife = 24 * time.Hour

// BulkState is the state of a bulk revocation.
type BulkState string

// The states.
const (
	Gathering BulkState = "gathering" // collects the certificates of its filter
	Draft     BulkState = "draft"     // counted; waits for its maker's confirmation
	Waiting   BulkState = "waiting"   // for a second administrator
	Running   BulkState = "running"   // revokes certificates
	Done      BulkState = "done"
	Dropped   BulkState = "dropped" // by an administrator
	Lapsed    BulkState = "expired" // not confirmed or approved in time
)

// BulkRevocation revokes many certificates: those that matched its filter when it was
// made.
type BulkRevocation struct {
	ID     string
	State  BulkState
	Filter string // as encoded by Filter.Query, days in UTC
	Cursor Cursor // where gathering continues

	Maker     portal.PersonID
	MakerName string
	Role      string // of the maker
	Address   string
	Request   string
	Made      time.Time
	Expires   time.Time

	Grounds                      // empty until the maker confirmed
	Approver     portal.PersonID // empty if no second administrator was needed
	ApproverName string
	Approved     time.Time
	Closed       time.Time

	Items    int // number of certificates
	Finished int // of these, processed so far
	Revoked  int // of these, revoked by this bulk revocation

	// Unproven means that an open bulk revocation was not recorded so by this portal: it
	// was planted or changed in the database, or is of an earlier version. It is dropped.
	Unproven bool
}

// ErrUnproven is returned for a bulk revocation that is [BulkRevocation.Unproven].
var ErrUnproven = errors.New("not as this portal recorded it")

// Outcome is the result for one certificate of a bulk revocation.
type Outcome string

// The outcomes.
const (
	ItemPending Outcome = ""       // not processed yet
	ItemRevoked Outcome = "ended"  // by this bulk revocation
	ItemSkipped Outcome = "before" // it was revoked or expired before
)

// BulkItem is one certificate of a bulk revocation.
type BulkItem struct {
	Certificate
	Outcome Outcome
}

// BulkTransition changes the state of a bulk revocation.
type BulkTransition struct {
	ID       string
	From, To BulkState
	At       time.Time
	Expires  time.Time // new expiry; zero keeps it
	Grounds  Grounds   // with To Waiting or Running from Draft
	Approver portal.PersonID
	Name     string // of the approver
	Entry    audit.Entry
	Alone    enroll.Alone // with To Running and no approver
}

// CreateBulk starts to gather the certificates of a filter. The zero filter is refused:
// to revoke everything, the administrator has to name a state or a date.
func (s *Service) CreateBulk(ctx context.Context, by portal.Actor, f Filter) (BulkRevocation, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.RevokeMany})
	if err != nil {
		return BulkRevocation{}, err
	}
	f.Sort = ""
	if f.IsZero() || !f.Since.IsZero() { // what was revoked since then needs no order
		return BulkRevocation{}, &portal.Refusal{Reason: portal.FilterEmpty, Field: "filter"}
	}
	o := BulkRevocation{
		ID: strings.ToLower(rand.Text()), State: Gathering, Filter: f.Query(time.UTC).Encode(),
		Maker: by.Person, MakerName: by.Record.Name, Role: entry.Role, Address: by.Address, Request: by.Request,
		Made: entry.At, Expires: entry.At.Add(BulkLife),
	}
	entry.Action, entry.Object = audit.BulkMade, o.ID
	entry.Detail = map[string]string{"filter": o.Filter}
	if err := s.c.Store.AddBulk(ctx, o, entry); err != nil {
		return BulkRevocation{}, storeErr("recording bulk revocation", err)
	}
	s.Wake()
	return o, nil
}

// Bulk returns a bulk revocation, or portal.ErrNotFound.
func (s *Service) Bulk(ctx context.Context, by portal.Actor, id string) (BulkRevocation, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return BulkRevocation{}, err
	}
	o, err := s.c.Store.Bulk(ctx, id)
	return o, storeErr("reading bulk revocation", err)
}

// BulkItems lists the certificates of a bulk revocation after a position, at most
// [PageSize].
func (s *Service) BulkItems(ctx context.Context, by portal.Actor, id string, after, limit int) ([]BulkItem, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, err
	}
	items, err := s.c.Store.BulkItems(ctx, id, after, limit, s.c.Now())
	return items, storeErr("reading certificates of bulk revocation", err)
}

// Bulks lists bulk revocations behind so many others: running ones first, then the
// newest.
func (s *Service) Bulks(ctx context.Context, by portal.Actor, behind, limit int) ([]BulkRevocation, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, err
	}
	list, err := s.c.Store.Bulks(ctx, false, behind, limit)
	return list, storeErr("listing bulk revocations", err)
}

// ConfirmBulk is the maker's confirmation: the number of certificates, and why. Up to
// SecondPerson certificates within an hour are revoked at once; more wait for a second
// administrator.
// It returns a *portal.Refusal for a mistake in the form, and portal.ErrConflict when
// the bulk revocation is no draft.
func (s *Service) ConfirmBulk(ctx context.Context, by portal.Actor, id string, count int, g Grounds) (BulkRevocation, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.RevokeMany})
	if err != nil {
		return BulkRevocation{}, err
	}
	o, err := s.openBulk(ctx, id, Draft)
	if err != nil {
		return o, err
	}
	if o.Maker != by.Person {
		return o, fmt.Errorf("bulk revocation of %s: %w", o.Maker, portal.ErrNotFound)
	}
	g, err = g.Check()
	if err != nil {
		return o, err
	}
	if count != o.Items || count == 0 {
		return o, &portal.Refusal{Reason: portal.CountWrong, Field: "count", Limit: o.Items}
	}
	m := BulkTransition{ID: id, From: Draft, To: Running, At: entry.At, Grounds: g, Expires: entry.At.Add(BulkLife), Entry: entry}
	m.Alone = s.alone(by)
	m.Entry.Action, m.Entry.Object = audit.BulkConfirmed, id
	m.Entry.Detail = g.detail()
	m.Entry.Detail["cause"], m.Entry.Detail["certificates"] = string(g.Cause), fmt.Sprint(o.Items)
	if o, err = s.transition(ctx, m); errors.Is(err, enroll.ErrSecondPerson) {
		m.To, m.Alone = Waiting, enroll.Alone{}
		return s.transition(ctx, m)
	}
	return o, err
}

// ApproveBulk starts a bulk revocation that another administrator made.
func (s *Service) ApproveBulk(ctx context.Context, by portal.Actor, id string) (BulkRevocation, error) {
	o, err := s.openBulk(ctx, id, Waiting)
	if err != nil {
		return o, err
	}
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.ApproveBulk, Maker: o.Maker})
	if err != nil {
		return o, err
	}
	entry.Action, entry.Object = audit.BulkApproved, id
	entry.Detail = map[string]string{"maker": string(o.Maker), "certificates": fmt.Sprint(o.Items)}
	return s.transition(ctx, BulkTransition{
		ID: id, From: Waiting, To: Running, At: entry.At, Approver: by.Person, Name: by.Record.Name, Entry: entry,
	})
}

// DropBulk cancels a bulk revocation that is not running. Its maker may, and every
// other administrator.
func (s *Service) DropBulk(ctx context.Context, by portal.Actor, id string) (BulkRevocation, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.RevokeMany})
	if err != nil {
		return BulkRevocation{}, err
	}
	o, err := s.openBulk(ctx, id, Gathering, Draft, Waiting)
	if err != nil {
		return o, err
	}
	entry.Action, entry.Object = audit.BulkDropped, id
	return s.transition(ctx, BulkTransition{ID: id, From: o.State, To: Dropped, At: entry.At, Entry: entry})
}

// openBulk returns a bulk revocation that is in one of the states and not expired. It
// returns portal.ErrConflict for others.
func (s *Service) openBulk(ctx context.Context, id string, states ...BulkState) (BulkRevocation, error) {
	o, err := s.c.Store.Bulk(ctx, id)
	if err != nil {
		return o, storeErr("reading bulk revocation", err)
	}
	for _, state := range states {
		if o.State == state && !o.Unproven && s.c.Now().Before(o.Expires) {
			return o, nil
		}
	}
	return o, fmt.Errorf("bulk revocation %s is %s: %w", id, o.State, portal.ErrConflict)
}

func (s *Service) transition(ctx context.Context, m BulkTransition) (BulkRevocation, error) {
	if err := s.c.Store.TransitionBulk(ctx, m); err != nil {
		return BulkRevocation{}, storeErr("changing state of bulk revocation", err)
	}
	s.Wake()
	o, err := s.c.Store.Bulk(ctx, m.ID)
	return o, storeErr("reading bulk revocation", err)
}
