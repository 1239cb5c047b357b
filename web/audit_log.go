package web

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/portal"
	"certportal/web/page"
)

const (
	auditPath = "/admin/audit"

	// auditRows is how many entries a page shows.
	auditRows = 50

	// maxAuditField bounds what may be looked for, in bytes.
	maxAuditField = 256
)

// auditRecords is the audit log as its page reads it.
type auditRecords interface {
	auditmonitor.Store

	// Find searches entries before a sequence number, newest first.
	Find(ctx context.Context, q audit.Query, before int64, limit int) (audit.Found, error)

	// PersonNamed finds the person with a user principal name or login, or returns
	// portal.ErrNotFound.
	PersonNamed(ctx context.Context, name string) (portal.PersonID, error)

	// PeopleCalled lists people one of whose words begins with each word of a text, at most
	// limit, and whether there may be more.
	PeopleCalled(ctx context.Context, text string, limit int) (ids []portal.PersonID, more bool, err error)

	// PersonNames returns the names of those people whose names are known.
	PersonNames(ctx context.Context, ids []portal.PersonID) (map[portal.PersonID]string, error)
}

// auditFields are the parts of a filter as the query names them.
func auditFields() []string {
	return []string{"from", "to", "action", "person", "actor", "object", "request"}
}

// showAudit is GET /admin/audit. The address holds the whole search.
func (s auditPages) showAudit(w http.ResponseWriter, r *http.Request) error {
	typed := typedFilter(r.URL.Query())
	p := page.AuditLog{Layout: s.staffLayout(r), Filter: page.AuditFilter{
		From: typed.Get("from"), To: typed.Get("to"), Action: typed.Get("action"), Person: typed.Get("person"),
		Actor: typed.Get("actor"), Object: typed.Get("object"), Request: typed.Get("request"),
	}}
	for _, action := range audit.Actions() {
		p.Filter.Actions = append(p.Filter.Actions, string(action))
	}
	state, err := auditmonitor.StateOf(r.Context(), s.store)
	if err != nil {
		return err
	}
	p.Chain = chainOf(state)
	q, mistakes := s.auditQuery(typed)
	if p.Errors = mistakes; len(mistakes) > 0 {
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	before, err := beforeOf(r)
	if err != nil {
		return err
	}
	p.Layout.Path = auditAddress(typed, before)
	p.Chips = auditChips(typed)
	if before != math.MaxInt64 {
		p.First = auditAddress(typed, math.MaxInt64)
	}
	q, p.Which, err = s.resolvePeople(r.Context(), q, typed, &p)
	if err != nil {
		return err
	}
	if len(p.Which) > 0 || p.WhichMore {
		return s.render(w, r, http.StatusOK, p)
	}
	found, err := s.store.Find(r.Context(), q, before, auditRows)
	if err != nil {
		return err
	}
	if found.Next > 0 {
		p.Next, p.Partly = auditAddress(typed, found.Next), len(found.Entries) < auditRows
	}
	p.Rows, err = s.auditRows(r.Context(), found.Entries)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}

// maxWhich bounds the people among whom the reader chooses.
const maxWhich = 20

// resolvePeople replaces names of people by ids: the log has ids only. Where a part of a
// name finds several people, it returns the addresses of the log of each.
func (s auditPages) resolvePeople(ctx context.Context, q audit.Query, typed url.Values, p *page.AuditLog) (audit.Query, []page.AuditWhich, error) {
	for field, into := range map[string]*string{"person": &q.Person, "actor": &q.Actor} {
		if *into == "" || portal.NoPerson(*into) {
			continue
		}
		id, err := s.store.PersonNamed(ctx, *into)
		if err == nil {
			*into = string(id)
			continue
		}
		if !errors.Is(err, portal.ErrNotFound) {
			return q, nil, err
		}
		ids, more, err := s.peopleCalled(ctx, *into)
		switch {
		case err != nil:
			return q, nil, err
		case len(ids) == 1 && !more:
			*into = string(ids[0])
			if err := s.nameChip(ctx, p, field, ids[0]); err != nil {
				return q, nil, err
			}
		case len(ids) > 1 || more:
			p.WhichMore = more
			which, err := s.whichOf(ctx, field, ids, typed)
			return q, which, err
		} // else it is an id
	}
	return q, nil, nil
}

// nameChip shows in the chip of a field who was found by a part of a name.
func (s auditPages) nameChip(ctx context.Context, p *page.AuditLog, field string, id portal.PersonID) error {
	names, err := s.store.PersonNames(ctx, []portal.PersonID{id})
	if err != nil {
		return err
	}
	for i := range p.Chips {
		if chip := &p.Chips[i]; chip.Key == field && names[id] != "" {
			chip.Value = names[id]
		}
	}
	return nil
}

// peopleCalled lists the people that a text may mean: the one with that id, or those of
// whose names it is a part.
func (s auditPages) peopleCalled(ctx context.Context, text string) (ids []portal.PersonID, more bool, err error) {
	id := portal.PersonID(text)
	if names, err := s.store.PersonNames(ctx, []portal.PersonID{id}); err != nil || names[id] != "" {
		return []portal.PersonID{id}, false, err
	}
	return s.store.PeopleCalled(ctx, text, maxWhich)
}

// whichOf lists people with the address of the log in which the field means them.
func (s auditPages) whichOf(ctx context.Context, field string, ids []portal.PersonID, typed url.Values) ([]page.AuditWhich, error) {
	names, err := s.store.PersonNames(ctx, ids)
	if err != nil {
		return nil, err
	}
	var which []page.AuditWhich
	for _, id := range ids {
		one := maps.Clone(typed)
		one.Set(field, string(id))
		which = append(which, page.AuditWhich{Name: cmp.Or(names[id], string(id)), ID: string(id), Path: auditAddress(one, math.MaxInt64)})
	}
	return which, nil
}

// typedFilter keeps the known fields of the query.
func typedFilter(q url.Values) url.Values {
	typed := url.Values{}
	for _, field := range auditFields() {
		if value := strings.TrimSpace(q.Get(field)); value != "" {
			typed.Set(field, strings.ToValidUTF8(value, "\ufffd"))
		}
	}
	return typed
}

// auditQuery parses a filter, and returns the fields that are invalid. Days are in the
// portal's time zone, both included.
func (s auditPages) auditQuery(typed url.Values) (audit.Query, []page.FieldError) {
	q := audit.Query{
		Action: audit.Action(typed.Get("action")), Person: typed.Get("person"), Actor: typed.Get("actor"),
		Object: objectOf(typed.Get("object")), Request: typed.Get("request"),
	}
	var mistakes []page.FieldError
	for field, value := range map[string]string{"person": q.Person, "actor": q.Actor, "object": q.Object, "request": q.Request} {
		if len(value) > maxAuditField || strings.ContainsFunc(value, unicode.IsControl) {
			mistakes = append(mistakes, page.FieldError{Field: field, Key: "audit.bad.text"})
		}
	}
	if q.Action != "" && !slices.Contains(audit.Actions(), q.Action) {
		mistakes = append(mistakes, page.FieldError{Field: "action", Key: "audit.bad.action"})
	}
	for field, into := range map[string]*time.Time{"from": &q.From, "to": &q.Until} {
		var err error
		if text := typed.Get(field); text != "" {
			*into, err = time.ParseInLocation(time.DateOnly, text, s.zone)
		}
		if err != nil {
			mistakes = append(mistakes, page.FieldError{Field: field, Key: "audit.bad.date"})
		}
	}
	if !q.Until.IsZero() {
		q.Until = q.Until.AddDate(0, 0, 1)
	}
	slices.SortFunc(mistakes, func(a, b page.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return q, mistakes
}

// objectOf accepts serials as other programs print them: with colons, spaces or 0x, in
// upper case.
func objectOf(text string) string {
	serial := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	serial = strings.TrimPrefix(serial, "0x")
	if _, err := hex.DecodeString(serial); err != nil || len(serial) < 16 {
		return text
	}
	return serial
}

// beforeOf reads the sequence number before which the page begins.
func beforeOf(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("before")
	if text == "" {
		return math.MaxInt64, nil
	}
	before, err := strconv.ParseInt(text, 10, 64)
	if err != nil || before < 1 {
		return 0, fmt.Errorf("reading place in the audit log: %w", portal.ErrNotFound)
	}
	return before, nil
}

func auditAddress(typed url.Values, before int64) string {
	q := maps.Clone(typed)
	if before != math.MaxInt64 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	return withQuery(auditPath, q)
}

func auditChips(typed url.Values) []page.AuditChip {
	var chips []page.AuditChip
	for _, field := range auditFields() {
		if !typed.Has(field) {
			continue
		}
		rest := maps.Clone(typed)
		rest.Del(field)
		chips = append(chips, page.AuditChip{Key: field, Value: typed.Get(field), Path: auditAddress(rest, math.MaxInt64)})
	}
	return chips
}

func chainOf(state auditmonitor.State) page.AuditChain {
	c := page.AuditChain{
		Verified: state.Verification.Seq, At: state.Verification.At, Full: state.Verification.FullAt, Since: state.Verification.Since,
		Sealed: state.Checkpoint.Seq, SealedAt: state.Checkpoint.At,
	}
	if b := state.Verification.Broken; b != nil {
		c.Fault, c.Bad, c.Until = string(b.Fault), b.Seq, max(b.Seq, b.Until)
	}
	for _, r := range state.Forwarders() {
		c.Copies = append(c.Copies, page.AuditCopy{Name: r.Name, Behind: int(state.Behind(r)), Failure: r.Failure, Since: r.Since})
	}
	return c
}

// auditRows converts entries for the page.
func (s auditPages) auditRows(ctx context.Context, entries []audit.Entry) ([]page.AuditRow, error) {
	ids := make(map[portal.PersonID]bool)
	for _, e := range entries {
		ids[portal.PersonID(e.Actor)], ids[portal.PersonID(e.Person)] = true, true
	}
	delete(ids, "")
	names, err := s.store.PersonNames(ctx, slices.Collect(maps.Keys(ids)))
	if err != nil {
		return nil, err
	}
	rows := make([]page.AuditRow, len(entries))
	for i, e := range entries {
		rows[i] = page.AuditRow{
			Seq: e.Seq, At: e.At, Action: string(e.Action), Refused: e.Action.Outcome() != "done",
			Actor: e.Actor, ActorName: names[portal.PersonID(e.Actor)], ActorPath: pathOf("actor", e.Actor), Role: e.Role,
			Person: e.Person, PersonName: names[portal.PersonID(e.Person)], PersonPath: pathOf("person", e.Person),
			Object: e.Object, ObjectPath: pathOf("object", e.Object), Address: e.Address, Request: e.Request, Node: e.Node,
			Hash: hex.EncodeToString(e.Hash[:]),
		}
		if rows[i].PersonName == "" {
			rows[i].PersonName = e.Detail["upn"]
		}
		for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
			rows[i].Facts = append(rows[i].Facts, page.AuditFact{Key: key, Value: e.Detail[key]})
		}
	}
	return rows, nil
}

// pathOf is the address of the log filtered by one field; empty for an empty value,
// and for one that the filter would refuse.
func pathOf(field, value string) string {
	if value == "" || len(value) > maxAuditField || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return ""
	}
	return withQuery(auditPath, url.Values{field: {value}})
}
