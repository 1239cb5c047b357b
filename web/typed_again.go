package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/sessions"

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

// typedFields lists the fields of the forms that are kept, by route. Forms that take a
// password, a code or a certificate request, next to which people paste keys, are not.
func typedFields(route string) []string {
	const person = helpdeskPath + "/people/{person}"
	switch route {
	case "/new":
		return []string{"name", "platform", "request"}
	case "/devices/{id}/rename":
		return []string{"name"}
	case "/devices/{id}/lost":
		return []string{"reason"}
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

// typedForm is a form that was sent after the sign-in had become too old, or the session
// had timed out. It is shown again after the next sign-in, and never sent by itself.
type typedForm struct {
	Page   string // path of the page that shows the form
	At     int64  // seconds since 1970
	Fields form
}

// keepTyped keeps the fields of a form in the session of its sender, until they signed in
// again. The page is where the sign-in leads. A form that no page sends is not kept.
func (s *Server) keepTyped(w http.ResponseWriter, r *http.Request, page string) error {
	text := s.typedText(r, page)
	if text == "" {
		return nil
	}
	return s.changeSession(w, r, map[string]string{typedKey: text})
}

// keepTypedLate does the same after the session timed out: the form waits in its row, which
// only the browser's old cookie opens, and takes the place of what was in it.
func (s *Server) keepTypedLate(r *http.Request, page string) error {
	text := s.typedText(r, page)
	if text == "" {
		return nil
	}
	values, key, err := s.sessions.timedOut(r)
	if phone, _ := values["phone"].(string); err == nil && values != nil && phone == "" {
		err = s.sessions.keepTimedOut(r.Context(), key, map[any]any{"person": values["person"], typedKey: text})
	}
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	return nil
}

// typedText is what is kept of the form of a request; empty for nothing.
func (s *Server) typedText(r *http.Request, page string) string {
	fields := typedFields(routeOf(r))
	if r.Method != http.MethodPost || len(fields) == 0 {
		return ""
	}
	f, err := readForm(r, fields...)
	if err != nil {
		return ""
	}
	delete(f, "request") // the token of the form that was never used
	path, _, _ := strings.Cut(page, "?")
	text, err := json.Marshal(typedForm{path, s.now().Unix(), f})
	if err != nil || len(text) > maxTyped {
		return ""
	}
	return string(text)
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
// had in this browser, open or timed out; empty from the session of another person. A
// session that timed out keeps it no longer.
func (s *Server) carriedForm(r *http.Request, session *sessions.Session, person portal.PersonID) (string, error) {
	values := session.Values
	if session.IsNew {
		var key sessionKey
		var err error
		if values, key, err = s.sessions.timedOut(r); err != nil || values == nil {
			return "", err
		}
		if err := s.store.EndSession(r.Context(), key.idHash()); err != nil {
			return "", fmt.Errorf("ending session that timed out: %w", err)
		}
	}
	if owner, _ := values["person"].(string); owner != string(person) {
		return "", nil
	}
	text, _ := values[typedKey].(string)
	return text, nil
}
