package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"certportal/internal/portal"
)

const (
	// typedLife is how long a form that was sent too late waits for its page.
	typedLife = 10 * time.Minute

	// maxTyped bounds what is kept of a form, in bytes.
	maxTyped = 4 << 10

	// typedKey is the value of the session that holds the form.
	typedKey = "typed"
)

// typedFields lists the fields that are kept of a form of staff, by its route.
func typedFields(route string) []string {
	const person = helpdeskPath + "/people/{person}"
	switch route {
	case person + "/code":
		return []string{"checked", "note", "purpose", "device"}
	case person + "/devices/{id}/block":
		return []string{"reason", "checked", "note"}
	case "/admin/certificates/{serial}/revoke", "/admin/devices/{id}/revoke", "/admin/people/{person}/revoke":
		return []string{"cause", "comment"}
	case "/admin/orders/{order}/confirm":
		return []string{"cause", "comment", "count"}
	case "/admin/halt":
		return haltFields()
	}
	return nil
}

// typedForm is a form that was sent after the sign-in had become too old. It is shown
// again after the next one, and never sent by itself.
type typedForm struct {
	Page   string // path of the page that shows the form
	At     int64  // seconds since 1970
	Fields form
}

// keepTyped keeps the fields of a form in the session of its sender, until they signed in
// again. The page is where the sign-in leads. A form that no page sends is not kept.
func (s *Server) keepTyped(w http.ResponseWriter, r *http.Request, page string) error {
	fields := typedFields(routeOf(r))
	if r.Method != http.MethodPost || len(fields) == 0 {
		return nil
	}
	f, err := readForm(r, fields...)
	if err != nil {
		return nil
	}
	path, _, _ := strings.Cut(page, "?")
	text, err := json.Marshal(typedForm{path, s.now().Unix(), f})
	if err != nil || len(text) > maxTyped {
		return nil
	}
	return s.changeSession(w, r, map[string]string{typedKey: string(text)})
}

// typedAgain takes what was typed into the form of this page before the sign-in; false
// without.
func (s *Server) typedAgain(w http.ResponseWriter, r *http.Request) (form, bool, error) {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return nil, false, &portal.Outage{Part: portal.PartStore, Err: err}
	}
	text, _ := session.Values[typedKey].(string)
	if text == "" {
		return nil, false, nil
	}
	var kept typedForm
	here, _ := url.PathUnescape(r.URL.EscapedPath())
	there := ""
	if json.Unmarshal([]byte(text), &kept) == nil {
		there, _ = url.PathUnescape(kept.Page)
	}
	age := s.now().Sub(time.Unix(kept.At, 0))
	if there != here && age <= typedLife {
		return nil, false, nil
	}
	if err := s.changeSession(w, r, map[string]string{typedKey: ""}); err != nil {
		return nil, false, err
	}
	return kept.Fields, there == here && age >= 0 && age <= typedLife, nil
}

// carriedForm is the form that a person's new session takes over from the one that they
// had in this browser; empty from the session of another person.
func carriedForm(values map[any]any, person portal.PersonID) string {
	if owner, _ := values["person"].(string); owner != string(person) {
		return ""
	}
	text, _ := values[typedKey].(string)
	return text
}
