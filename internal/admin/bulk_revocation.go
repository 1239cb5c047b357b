package admin

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// OrderLife is how long an order waits for its maker, and then for the second
// administrator.
const BulkLife = 24 * time.Hour

// OrderState is where an order stands.
type BulkState string

// The states of an order.
const (
	Gathering BulkState = "gathering" // collects what its filter means
	Draft     BulkState = "draft"     // counted, and waits for its maker's word
	Waiting   BulkState = "waiting"   // for another administrator
	Running   BulkState = "running"   // ends certificates
	Done      BulkState = "done"
	Dropped   BulkState = "dropped" // by whoever did not want it
	Lapsed    BulkState = "expired" // nobody said yes in time
)

// Order ends many certificates: those that its filter meant when it was made.
type BulkRevocation struct {
	ID     string
	State  BulkState
	Filter string // as Filter.Query encodes it, days in UTC
	Cursor Cursor // where gathering goes on

	Maker     portal.PersonID
	MakerName string
	Role      string // of the maker
	Address   string
	Request   string
	Made      time.Time
	Expires   time.Time

	Grounds                      // empty before the maker confirmed
	Approver     portal.PersonID // empty where one administrator is enough
	ApproverName string
	Approved     time.Time
	Closed       time.Time

	Items    int // certificates it means
	Finished int // of these, looked at by now
	Revoked  int // of these, ended by this order
}

// Outcome is what became of one certificate of an order.
type Outcome string

// The outcomes.
const (
	ItemPending Outcome = ""       // its turn has not come
	ItemRevoked Outcome = "ended"  // by this order
	ItemSkipped Outcome = "before" // it had ended before
)

// Item is one certificate of an order.
type BulkItem struct {
	Certificate
	Outcome Outcome
}

// Move brings an order from one state to another.
type BulkTransition struct {
	ID       string
	From, To BulkState
	At       time.Time
	Expires  time.Time // new end of waiting; zero keeps it
	Grounds  Grounds   // with To Waiting or Running from Draft
	Approver portal.PersonID
	Name     string // of the approver
	Entry    audit.Entry
}

// Order begins to gather what a filter means. The filter of everything is refused:
// who ends all certificates says so by a state or a date.
func (s *Service) CreateBulk(ctx context.Context, by portal.Actor, f Filter) (BulkRevocation, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.RevokeMany})
	if err != nil {
		return BulkRevocation{}, err
	}
	if f.IsZero() {
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
		return BulkRevocation{}, storeErr("recording order", err)
	}
	s.Wake()
	return o, nil
}

// ReadOrder finds an order, or ErrNotFound.
func (s *Service) Bulk(ctx context.Context, by portal.Actor, id string) (BulkRevocation, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return BulkRevocation{}, err
	}
	o, err := s.c.Store.Bulk(ctx, id)
	return o, storeErr("reading order", err)
}

// OrderItems lists certificates of an order behind a place, at most [PageSize].
func (s *Service) BulkItems(ctx context.Context, by portal.Actor, id string, after, limit int) ([]BulkItem, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, err
	}
	items, err := s.c.Store.BulkItems(ctx, id, after, limit, s.c.Now())
	return items, storeErr("reading certificates of order", err)
}

// OrderList lists the newest orders.
func (s *Service) Bulks(ctx context.Context, by portal.Actor) ([]BulkRevocation, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadCertificates}); err != nil {
		return nil, err
	}
	list, err := s.c.Store.Bulks(ctx, false, PageSize)
	return list, storeErr("listing orders", err)
}

// Confirm is the maker's word: how many certificates they mean, and why. Up to
// SecondPerson the order runs at once, above it waits for another administrator. It
// returns a *enroll.Refusal for a mistake in the form, and ErrConflict when the order
// is no draft any more.
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
		return o, fmt.Errorf("order of %s: %w", o.Maker, portal.ErrNotFound)
	}
	g, err = g.Check()
	if err != nil {
		return o, err
	}
	if count != o.Items || count == 0 {
		return o, &portal.Refusal{Reason: portal.CountWrong, Field: "count", Limit: o.Items}
	}
	m := BulkTransition{ID: id, From: Draft, To: Running, At: entry.At, Grounds: g, Expires: entry.At.Add(BulkLife), Entry: entry}
	if o.Items > s.c.SecondPerson && !by.IsOperator() {
		m.To = Waiting
	}
	m.Entry.Action, m.Entry.Object = audit.BulkConfirmed, id
	m.Entry.Detail = g.detail()
	m.Entry.Detail["cause"], m.Entry.Detail["certificates"] = string(g.Cause), fmt.Sprint(o.Items)
	return s.transition(ctx, m)
}

// Approve lets an order run that another administrator made.
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

// Drop ends an order that does not run yet. Its maker may, and whoever might approve.
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

// standing finds an order that is in one of the states and not out of time.
func (s *Service) openBulk(ctx context.Context, id string, states ...BulkState) (BulkRevocation, error) {
	o, err := s.c.Store.Bulk(ctx, id)
	if err != nil {
		return o, storeErr("reading order", err)
	}
	for _, state := range states {
		if o.State == state && s.c.Now().Before(o.Expires) {
			return o, nil
		}
	}
	return o, fmt.Errorf("order %s is %s: %w", id, o.State, portal.ErrConflict)
}

func (s *Service) transition(ctx context.Context, m BulkTransition) (BulkRevocation, error) {
	if err := s.c.Store.TransitionBulk(ctx, m); err != nil {
		return BulkRevocation{}, storeErr("moving order", err)
	}
	s.Wake()
	o, err := s.c.Store.Bulk(ctx, m.ID)
	return o, storeErr("reading order", err)
}
