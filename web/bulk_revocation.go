package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/web/page"
)

// itemsPerPage is how many certificates of a bulk revocation one page shows.
const itemsPerPage = 200

// showBulkRevocations is GET /admin/orders.
func (s adminPages) showBulkRevocations(w http.ResponseWriter, r *http.Request) error {
	orders, err := s.admin.Bulks(r.Context(), actorOf(r))
	if err != nil {
		return err
	}
	p := page.AdminBulkRevocations{Layout: s.staffLayout(r)}
	for _, o := range orders {
		p.Rows = append(p.Rows, bulkRevocationRow(o))
	}
	return s.render(w, r, http.StatusOK, p)
}

func bulkRevocationRow(o admin.BulkRevocation) page.AdminBulkRevocationRow {
	return page.AdminBulkRevocationRow{
		ID: o.ID, State: string(o.State), Maker: o.MakerName, Made: o.Made, Items: o.Items, Finished: o.Finished, Ended: o.Revoked,
	}
}

// showNewBulkRevocation is GET /admin/orders/new: confirms before the matching
// certificates are collected.
func (s adminPages) showNewBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	f, mistakes := filterOf(r.URL.Query())
	if len(mistakes) > 0 || f.IsZero() {
		return redirect(w, "/admin/certificates")
	}
	left, _, err := s.leftAlone(r)
	if err != nil {
		return err
	}
	chips, err := s.namedChips(r, f, chipsOf(f, ""))
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, page.AdminNewBulkRevocation{
		Layout: s.staffLayout(r), Chips: chips, Fields: hiddenFilter(f), Limit: left,
		Back: withQuery("/admin/certificates", f.Query(time.Local)),
	})
}

// submitBulkRevocation is POST /admin/orders.
func (s adminPages) submitBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	f, err := filterForm(r)
	if err != nil {
		return err
	}
	o, err := s.admin.CreateBulk(r.Context(), actorOf(r), f)
	if err != nil {
		return err
	}
	return redirect(w, "/admin/orders/"+o.ID)
}

// bulkRevocationID reads the id in the address.
func bulkRevocationID(r *http.Request) string { return chi.URLParam(r, "order") }

// showBulkRevocation is GET /admin/orders/{order}.
func (s adminPages) showBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	p, err := s.bulkRevocationPage(r)
	if err != nil {
		return err
	}
	f, ok, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	if p.Resumed = ok; ok {
		p.Typed = page.AdminTyped{Count: f["count"], Cause: f["cause"], Comment: f["comment"]}
	}
	return s.render(w, r, http.StatusOK, p)
}

func (s adminPages) bulkRevocationPage(r *http.Request) (page.AdminBulkRevocation, error) {
	o, err := s.admin.Bulk(r.Context(), actorOf(r), bulkRevocationID(r))
	if err != nil {
		return page.AdminBulkRevocation{}, err
	}
	p := page.AdminBulkRevocation{
		Layout: s.staffLayout(r), AdminBulkRevocationRow: bulkRevocationRow(o), Expires: o.Expires, Approver: o.ApproverName, Comment: o.Comment,
		Cause: string(o.Cause), Causes: causeKeys(),
		Reloading: o.State == admin.Gathering || o.State == admin.Running,
	}
	mine, open := o.Maker == actorOf(r).Person, s.now().Before(o.Expires)
	p.MayAct = mine && open && may(r, authz.RevokeMany)
	p.MayAgree = !mine && open && o.State == admin.Waiting && may(r, authz.ApproveBulk)
	p.MayDrop = may(r, authz.RevokeMany) && (o.State == admin.Gathering || o.State == admin.Draft || o.State == admin.Waiting)
	if q, err := url.ParseQuery(o.Filter); err == nil {
		f, _ := admin.ParseFilter(q, time.UTC)
		if p.Chips, err = s.namedChips(r, f, chipsOf(f, "")); err != nil {
			return p, err
		}
	}
	if p.MayAct && o.State == admin.Draft {
		if p.Limit, _, err = s.leftAlone(r); err != nil {
			return p, err
		}
	}
	return p, s.fillItems(r, &p, o)
}

// fillItems adds one page of the certificates of a bulk revocation.
func (s adminPages) fillItems(r *http.Request, p *page.AdminBulkRevocation, o admin.BulkRevocation) error {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil || after < 0 {
		after = 0
	}
	items, err := s.admin.BulkItems(r.Context(), actorOf(r), o.ID, after, itemsPerPage)
	for _, item := range items {
		row := certificateRow(item.Certificate)
		row.Outcome = string(item.Outcome)
		p.Rows = append(p.Rows, row)
	}
	if len(items) == itemsPerPage && after+itemsPerPage < o.Items {
		p.Next = fmt.Sprintf("/admin/orders/%s?after=%d", o.ID, after+itemsPerPage)
	}
	return err
}

// confirmBulkRevocation is POST /admin/orders/{order}/confirm. The administrator types
// the number of certificates, so that they know how many they revoke.
func (s adminPages) confirmBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	g, f, err := groundsForm(r, "count")
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(digits(f["count"]))
	if err != nil {
		count = -1
	}
	_, err = s.admin.ConfirmBulk(r.Context(), actorOf(r), bulkRevocationID(r), count, g)
	mistake, ok := mistakeOf(err)
	switch {
	case err == nil:
		return redirect(w, "/admin/orders/"+bulkRevocationID(r))
	case !ok:
		return err
	}
	p, err := s.bulkRevocationPage(r)
	if err != nil {
		return err
	}
	p.Errors = []page.FieldError{mistake}
	p.Typed = page.AdminTyped{Count: f["count"], Cause: string(g.Cause), Comment: g.Comment}
	return s.render(w, r, http.StatusUnprocessableEntity, p)
}

// digits removes the separators that people type into long numbers.
func digits(s string) string {
	return strings.NewReplacer(" ", "", ".", "", ",", "", "'", "", "’", "", "\u00a0", "", "\u202f", "").Replace(s)
}

// approveBulkRevocation is POST /admin/orders/{order}/approve.
func (s adminPages) approveBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	return s.changeBulkRevocation(w, r, s.admin.ApproveBulk)
}

// dropBulkRevocation is POST /admin/orders/{order}/drop.
func (s adminPages) dropBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	return s.changeBulkRevocation(w, r, s.admin.DropBulk)
}

// changeBulkRevocation runs an act without fields. Sending it twice is no error.
func (s adminPages) changeBulkRevocation(w http.ResponseWriter, r *http.Request, move bulkRevocationChange) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if _, err := move(r.Context(), actorOf(r), bulkRevocationID(r)); err != nil && !errors.Is(err, portal.ErrConflict) {
		return err
	}
	return redirect(w, "/admin/orders/"+bulkRevocationID(r))
}

// bulkRevocationChange is an act of package admin on one bulk revocation.
type bulkRevocationChange func(context.Context, portal.Actor, string) (admin.BulkRevocation, error)
