package web

import (
	"context"
	"errors"
	"math"
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

const ordersPath = "/admin/orders"

// showBulkRevocations is GET /admin/orders.
func (s adminPages) showBulkRevocations(w http.ResponseWriter, r *http.Request) error {
	behind := behindOf(r)
	orders, err := s.admin.Bulks(r.Context(), actorOf(r), behind, admin.PageSize+1)
	if err != nil {
		return err
	}
	p := page.AdminBulkRevocations{Layout: s.staffLayout(r), First: firstPage(ordersPath, behind)}
	if len(orders) > admin.PageSize {
		orders = orders[:admin.PageSize]
		p.Next = pageBehind(ordersPath, behind+admin.PageSize)
	}
	for _, o := range orders {
		p.Rows = append(p.Rows, bulkRevocationRow(o))
	}
	return s.render(w, r, http.StatusOK, p)
}

// behindOf reads how many rows come before those of the page.
func behindOf(r *http.Request) int {
	behind, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil || behind < 0 || behind > math.MaxInt32 {
		return 0
	}
	return behind
}

// pageBehind is the address of the page of a list behind so many rows.
func pageBehind(path string, behind int) string { return path + "?after=" + strconv.Itoa(behind) }

// firstPage is the address of the first page of a list; empty when this is it.
func firstPage(path string, behind int) string {
	if behind == 0 {
		return ""
	}
	return path
}

func bulkRevocationRow(o admin.BulkRevocation) page.AdminBulkRevocationRow {
	return page.AdminBulkRevocationRow{
		ID: o.ID, State: string(o.State), Maker: o.MakerName, Made: o.Made, Items: o.Items, Finished: o.Finished, Ended: o.Revoked,
	}
}

// showNewBulkRevocation is GET /admin/orders/new: confirms before the matching
// certificates are collected.
func (s adminPages) showNewBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f, mistakes := s.filterOf(q)
	// The form of the check boxes names its list: without a check mark it means none.
	if len(mistakes) > 0 || f.IsZero() || f.Picked == "" && q.Has("back") {
		return redirect(w, listBack(q.Get("back")))
	}
	left, _, err := s.leftAlone(r)
	if err != nil {
		return err
	}
	chips, err := s.namedChips(r, f, s.chipsOf(f, ""))
	if err != nil {
		return err
	}
	p := page.AdminNewBulkRevocation{
		Layout: s.staffLayout(r), Chips: chips, Fields: s.hiddenFilter(f), Limit: left,
		Back: withQuery("/admin/certificates", f.Query(s.zone)),
	}
	if f == (admin.Filter{Picked: f.Picked}) {
		p.Picked, p.Back = len(f.PickedSerials()), listBack(q.Get("back"))
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitBulkRevocation is POST /admin/orders.
func (s adminPages) submitBulkRevocation(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterForm(r)
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
		if p.Chips, err = s.namedChips(r, f, s.chipsOf(f, "")); err != nil {
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
	path, behind := ordersPath+"/"+o.ID, behindOf(r)
	items, err := s.admin.BulkItems(r.Context(), actorOf(r), o.ID, behind, admin.PageSize)
	for _, item := range items {
		row := certificateRow(item.Certificate)
		row.Outcome = string(item.Outcome)
		p.Rows = append(p.Rows, row)
	}
	p.First = firstPage(path, behind)
	if len(items) == admin.PageSize && behind+admin.PageSize < o.Items {
		p.Next = pageBehind(path, behind+admin.PageSize)
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
