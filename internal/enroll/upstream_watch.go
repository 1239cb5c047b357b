package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

const (
	// watchTime bounds a look at the lists of one CA, and watchHold is how long no other
	// replica looks.
	watchTime = 3 * time.Minute
	watchHold = 5 * time.Minute

	// maxListGroups bounds the sets of lists of one CA that are looked at.
	maxListGroups = 64

	// maxAsked bounds the certificates that are asked about by OCSP in one look.
	maxAsked = 20

	// maxHolds bounds the certificates on hold that are ended in one look. More are a
	// mistake of the CA rather than a decision about each.
	maxHolds = 20

	// listingBatch is how many certificates are recorded in one transaction.
	listingBatch = 100
)

// listGroup is the certificates of one issuer that name the same lists.
type listGroup struct {
	sample, issuer *x509.Certificate

	found          fetch.Lists
	named          map[ca.Serial]fetch.Naming
	update, until  time.Time // of complete lists
	looked, covers bool
}

// listLook is one look at the lists of a CA.
type listLook struct {
	elsewhere
	u       *Upstream
	now     time.Time
	watched UpstreamWatched
	groups  map[string]*listGroup
	rows    map[ca.Serial]int // places in watched.Rows
	beyond  map[string]bool   // further groups than are looked at
	held    map[string]int    // holds that were not made final, by the address of the list
}

// sweepLists looks at the lists of one CA when that is due: which certificates they name,
// also of those that the portal believes valid.
func (r elsewhere) sweepLists(ctx context.Context, authority string) error {
	now := r.c.Now()
	due, err := r.c.Store.TakeUpstreamWatch(ctx, authority, now, now.Add(watchHold))
	if err != nil || !due {
		return portal.AsOutage(portal.PartStore, "taking the lists of "+authority, err)
	}
	watched, err := r.c.Store.UpstreamWatched(ctx, authority, now)
	if err != nil {
		return portal.AsOutage(portal.PartStore, "reading what "+authority+" revokes", err)
	}
	l := &listLook{elsewhere: r, u: r.upstreams[authority], now: now, watched: watched, groups: make(map[string]*listGroup), rows: make(map[ca.Serial]int), beyond: make(map[string]bool)}
	l.group()
	asking, cancel := context.WithTimeout(ctx, watchTime)
	defer cancel()
	l.fetch(asking)
	listings := l.judge(asking)
	var errs []error
	for batch := range slices.Chunk(listings, listingBatch) {
		errs = append(errs, r.c.Store.NoteUpstreamListings(ctx, batch))
	}
	errs = append(errs, l.endRevoked(ctx))
	// Last, since another replica may look from then on.
	errs = append(errs, r.c.Store.RecordUpstreamLists(ctx, authority, now, l.lists()))
	return portal.AsOutage(portal.PartStore, "recording the lists of "+authority, errors.Join(errs...))
}

// group sorts the certificates by the lists that they name.
func (l *listLook) group() {
	for i := range l.watched.Rows {
		v := &l.watched.Rows[i]
		l.rows[v.Serial] = i
		if id, ok := l.add(v.DER); ok {
			v.Points = id
		}
	}
	for _, der := range l.watched.Samples {
		l.add(der)
	}
	if len(l.beyond) > 0 {
		l.c.Log.Warn("certificates of another CA name too many lists: the portal does not look at all", "authority", l.u.Name, "bound", maxListGroups, "more", len(l.beyond))
	}
}

// add gives the group of a certificate. There is none for one of another CA, or when there
// are too many.
func (l *listLook) add(der []byte) (id string, ok bool) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "", false
	}
	issuer := l.u.issuerOf(cert)
	if issuer == nil {
		return "", false
	}
	id = fetch.Places(cert, issuer)
	if l.groups[id] != nil {
		return id, true
	}
	if len(l.groups) == maxListGroups {
		l.beyond[id] = true
		return "", false
	}
	l.groups[id] = &listGroup{sample: cert, issuer: issuer}
	return id, true
}

// fetch reads the lists of all groups, as far as the time lasts.
func (l *listLook) fetch(ctx context.Context) {
	before := make(map[string]UpstreamList)
	for _, list := range l.watched.Lists {
		before[list.Address] = list
	}
	search := fetch.Search{
		Wanted: func(s ca.Serial) bool {
			_, asked := l.rows[s]
			return asked || l.watched.InForce[s]
		},
		Newest: func(address string) (string, time.Time) { return before[address].Number, before[address].ThisUpdate },
	}
	for _, g := range l.groups {
		g.found = l.c.Lists.Seek(ctx, g.sample, g.issuer, l.now, search)
		if ctx.Err() != nil {
			return // what was cut off counts as not asked
		}
		g.looked, g.named = true, g.found.Named()
		g.update, g.until, g.covers = g.found.Complete()
	}
}

// judge gives what changed about the certificates that the CA must revoke.
func (l *listLook) judge(ctx context.Context) []UpstreamListing {
	var changed []UpstreamListing
	asked := 0
	for _, i := range rand.Perm(len(l.watched.Rows)) { // each gets its turn to be asked about
		v := l.watched.Rows[i]
		g := l.groups[v.Points]
		if g == nil || !g.looked {
			continue
		}
		before := v
		naming, named := g.named[v.Serial]
		switch {
		case named && naming.Unsure: // neither in the list nor absent
		case named:
			l.nameIn(&v, naming)
		case g.covers:
			v.Absent, v.Until = g.update, later(v.Until, g.until)
		case v.DER != nil && asked < maxAsked && ctx.Err() == nil:
			if l.askOnline(ctx, &v, g.issuer) {
				asked++
			}
		}
		if v.DoneBy == ByRevoker && !before.Absent.Equal(v.Absent) && v.Absent.After(v.Done.Add(UpstreamListGrace)) {
			l.reopen(&v)
		}
		if before.differs(v) {
			changed = append(changed, v)
		}
	}
	return changed
}

func (v UpstreamListing) differs(from UpstreamListing) bool {
	return v.Points != from.Points || v.Listed != from.Listed || !v.Absent.Equal(from.Absent) || !v.Until.Equal(from.Until) || v.Settle
}

// nameIn records that a list names a certificate. That settles a revocation that the CA did
// not confirm, but for a hold, which the CA may take back.
func (l *listLook) nameIn(v *UpstreamListing, n fetch.Naming) {
	if v.Listed.At.IsZero() {
		v.Listed = Listing{At: l.now, In: n.List.URL, Number: n.List.Number, Update: n.List.ThisUpdate}
		if v.Until.IsZero() {
			// Of the list before it is only known that it ends no later.
			v.Until = n.List.NextUpdate
		}
	}
	v.Absent = time.Time{}
	if !n.Hold() {
		l.settleBy(v, v.Listed)
	}
}

func (l *listLook) settleBy(v *UpstreamListing, by Listing) {
	if !v.Done.IsZero() {
		return
	}
	v.Done, v.Settle = l.now, true
	v.Entry = portal.Actor{}.Entry(l.now, audit.UpstreamRevoked)
	v.Entry.Object = v.Serial.String()
	v.Entry.Detail = map[string]string{"authority": v.Authority, "by": "list", "list": cut(by.In), "number": by.Number}
	if by.Online {
		v.Entry.Detail["by"] = "ocsp"
	}
}

// reopen has the CA's host revoke a certificate again. That said that it had, and may have
// lied: a list made later does not name the certificate.
func (l *listLook) reopen(v *UpstreamListing) {
	v.Reopen = true
	v.Entry = portal.Actor{}.Entry(l.now, audit.UpstreamNotRevoked)
	v.Entry.Object = v.Serial.String()
	v.Entry.Detail = map[string]string{"authority": v.Authority, "by": "list", "answer": "its host reported it as revoked, and a later list does not name it"}
}

// askOnline asks the OCSP responder of a certificate whose lists cannot be used. It reports
// whether there is one.
func (l *listLook) askOnline(ctx context.Context, v *UpstreamListing, issuer *x509.Certificate) bool {
	cert, err := x509.ParseCertificate(v.DER)
	if err != nil {
		return false
	}
	answer, err := l.c.Lists.Ask(ctx, cert, issuer, l.now)
	switch {
	case errors.Is(err, fetch.ErrNoResponder):
		return false
	case err != nil:
		l.c.Log.Info("asking a CA elsewhere about a certificate", "authority", v.Authority, "serial", v.Serial.String(), "err", err)
	case answer.Revoked == nil || answer.Revoked.Reason == holdReason:
		v.Absent, v.Until = answer.ThisUpdate, later(v.Until, answer.NextUpdate)
	default:
		if v.Listed.At.IsZero() {
			v.Listed = Listing{At: l.now, In: answer.URL, Update: answer.ThisUpdate, Online: true}
			v.Until = later(v.Until, answer.NextUpdate)
		}
		v.Absent = time.Time{}
		l.settleBy(v, v.Listed)
	}
	return true
}

// holdReason is certificateHold (RFC 5280 section 5.3.1).
const holdReason = 6

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
