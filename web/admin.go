package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// may reports whether to show a link to an act. The target checks again.
func may(r *http.Request, act authz.Act) bool {
	_, err := authz.CanAny(actorOf(r).Staff(), act)
	return err == nil
}

// filterOf reads the filter in a query, and the fields that are invalid. Those that the
// form does not show are reported at the search box.
func (s adminPages) filterOf(q url.Values) (admin.Filter, []page.FieldError) {
	f, bad := admin.ParseFilter(q, s.zone)
	_, kind := boxOf(q)
	var mistakes []page.FieldError
	for _, field := range bad {
		mistake := page.FieldError{Field: field, Key: "admin.bad." + field}
		if !slices.Contains(admin.Fields()[:8], field) {
			mistake = page.FieldError{Field: "q", Key: "admin.bad.address"}
		} else if field == kind || field == "status" {
			mistake.Field = "q"
		}
		mistakes = append(mistakes, mistake)
	}
	return f, mistakes
}

// shownFilter returns the values for the form of a filter.
func shownFilter(q url.Values) page.AdminFilter {
	f := page.AdminFilter{
		Person: q.Get("person"), Device: q.Get("device"), Serial: q.Get("serial"), Status: q.Get("status"),
		Days: q.Get("days"), From: q.Get("from"), To: q.Get("to"), Since: q.Get("since"), Owner: q.Get("id"), DeviceID: q.Get("device_id"), Sort: q.Get("sort"), Picked: strings.Join(q["pick"], "."), Authority: q.Get("authority"),
	}
	return f
}

// chipsOf lists the parts of a filter, each with the address of the list without it;
// without a list, no address.
func (s adminPages) chipsOf(f admin.Filter, list string) []page.AdminChip {
	q := f.Query(s.zone)
	var chips []page.AdminChip
	for _, field := range admin.Fields() {
		if !q.Has(field) || field == "sort" {
			continue
		}
		chip := page.AdminChip{Key: field, Value: q.Get(field)}
		if list != "" {
			rest := f.Query(s.zone)
			rest.Del(field)
			if field == "status" {
				rest.Del("days")
			}
			chip.Path = withQuery(list, rest)
		}
		chips = append(chips, chip)
	}
	return chips
}

// hiddenFilter returns the hidden fields of a form that carries a filter.
func (s adminPages) hiddenFilter(f admin.Filter) []page.Hidden {
	q := f.Query(s.zone)
	var fields []page.Hidden
	for _, field := range admin.Fields() {
		if q.Has(field) {
			fields = append(fields, page.Hidden{Name: field, Value: q.Get(field)})
		}
	}
	return fields
}

// filterForm reads the hidden fields of [hiddenFilter].
func (s adminPages) filterForm(r *http.Request) (admin.Filter, error) {
	form, err := readForm(r, admin.Fields()...)
	if err != nil {
		return admin.Filter{}, err
	}
	q := url.Values{}
	for field, value := range form {
		q.Set(field, value)
	}
	f, bad := admin.ParseFilter(q, s.zone)
	if len(bad) > 0 {
		return f, fmt.Errorf("%w: field %q", errForm, bad[0])
	}
	return f, nil
}

// namedChips shows people and devices by their names, where these are known.
func (s adminPages) namedChips(r *http.Request, f admin.Filter, chips []page.AdminChip) ([]page.AdminChip, error) {
	for i := range chips {
		switch chips[i].Key {
		case "id":
			names, err := s.personNames(r.Context(), []portal.PersonID{f.PersonID})
			if err != nil {
				return nil, err
			}
			chips[i].Value = cmp.Or(names[f.PersonID], chips[i].Value)
		case "authority":
			chips[i].Value, chips[i].Named = strings.CutPrefix(f.Issuer, enroll.UpstreamPrefix)
			if n := authorityNumber(f.Issuer); n > 0 {
				chips[i].Value = strconv.Itoa(n)
			} else if !chips[i].Named {
				chips[i].Value = ""
			}
		case "pick":
			chips[i].Value = strconv.Itoa(len(f.PickedSerials()))
		case "device_id":
			d, err := s.admin.Device(r.Context(), actorOf(r), f.DeviceID)
			if err != nil && !errors.Is(err, portal.ErrNotFound) {
				return nil, err
			}
			chips[i].Value = cmp.Or(d.Name, chips[i].Value)
		}
	}
	return chips, nil
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// nextPage is the address of the next page; empty after the last.
func (s adminPages) nextPage(path string, f admin.Filter, next admin.Cursor) string {
	if next == (admin.Cursor{}) {
		return ""
	}
	q := f.Query(s.zone)
	q.Set("after", next.String())
	return withQuery(path, q)
}

// cursorOf reads the cursor of a list. A malformed cursor answers 404.
func cursorOf(r *http.Request) (admin.Cursor, error) {
	place, err := admin.ParseCursor(r.URL.Query().Get("after"))
	if err != nil {
		return place, fmt.Errorf("%w: %w", portal.ErrNotFound, err)
	}
	return place, nil
}
