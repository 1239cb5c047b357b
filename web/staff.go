package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/web/page"
)

// staffFresh is how long after showing who they are staff may change something
// without showing it again.
const staffFresh = 10 * time.Minute

type actorKey struct{}

// actorOf returns the actor of a route that [Server.staff] made, with their directory
// record and the role in which they asked for the route's act.
func actorOf(r *http.Request) portal.Actor {
	a, _ := r.Context().Value(actorKey{}).(portal.Actor)
	return a
}

// staff is a table for the routes of one act. Roles are read from the directory
// with every request: who lost one has lost it now (attack A11). What changes
// something also asks for a sign-in of the last ten minutes, already where its
// form is shown.
func (s *Server) staff(r chi.Router, act authz.Act) chi.Router {
	return r.With(s.requireSession, s.requireWhole, s.allow(act))
}

// allow lets those pass who may do the act to anybody at all. Whether they may do
// it to the one they mean is decided where it is done.
func (s *Server) allow(act authz.Act) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return s.handle(func(w http.ResponseWriter, r *http.Request) error {
			a := s.person(r)
			person, err := s.registrar.Person(r.Context(), a.person)
			if err != nil && !errors.Is(err, portal.ErrNotFound) {
				return err
			}
			role, err := authz.CanAny(person, act)
			if err != nil {
				s.noteDenied(r, err)
				return err
			}
			if act.Changes() && !s.signedInWithin(a, staffFresh) {
				return redirect(w, signInAddress(s.returnPath(r)))
			}
			by := portal.Actor{Person: person.ID, Role: role, Address: clientAddress(r), Request: requestInfoOf(r).id, Record: &person}
			ctx := context.WithValue(r.Context(), actorKey{}, by)
			next.ServeHTTP(w, r.WithContext(ctx))
			return nil
		})
	}
}

// returnPath is the page to come back to after signing in again: the page asked for, or
// that of the form that was sent.
func (s *Server) returnPath(r *http.Request) string {
	if r.Method != http.MethodPost {
		return pagePath(r)
	}
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host != s.public.Host {
		return pagePath(r)
	}
	page, ok := localPath(from.RequestURI())
	if !ok {
		return pagePath(r)
	}
	return page
}

// signedInWithin reports whether the person showed who they are within the time.
func (s *Server) signedInWithin(a account, within time.Duration) bool {
	age := s.now().Sub(a.proven)
	return age >= 0 && age <= within
}

// noteDenied records that the policy refused somebody. The refusal stands even
// when it cannot be recorded: nothing was done.
func (s *Server) noteDenied(r *http.Request, err error) {
	var denied *authz.Error
	if !errors.As(err, &denied) {
		return
	}
	if err := s.registrar.NoteDeniedAct(r.Context(), s.by(r), routeOf(r), string(denied.Act), string(denied.Reason)); err != nil {
		s.log.Error("recording a refusal", "request", requestInfoOf(r).id, "err", err)
	}
}

// deniedProblem is the page of a refusal by the policy. What is not somebody's is
// not there for them.
func deniedProblem(d *authz.Error) (int, page.Kind) {
	switch d.Reason {
	case authz.ReasonNoTarget, authz.ReasonNotOwn:
		return http.StatusNotFound, page.NotFound
	case authz.ReasonAccount:
		return http.StatusForbidden, page.Disabled
	}
	return http.StatusForbidden, page.Kind("access-" + string(d.Reason))
}

// staffSection is a part of the staff pages and the act that opens it.
type staffSection struct {
	path, key string
	act       authz.Act
}

// staffSections lists the parts in the order of the navigation.
func staffSections() []staffSection {
	return []staffSection{
		{"/helpdesk", "helpdesk", authz.FindPeople},
		{"/admin", "overview", authz.ReadOverview},
		{"/admin/certificates", "certificates", authz.ReadCertificates},
		{caStatusPath, "authority", authz.ReadChecks},
		{"/admin/people", "people", authz.ReadRoles},
		{"/admin/audit", "audit", authz.ReadAuditLog},
		{"/admin/checks", "checks", authz.ReadChecks},
	}
}

// staffLayout is the frame of a staff page: with the parts its reader may open.
func (s *Server) staffLayout(r *http.Request) page.Layout {
	f := s.layout(r)
	here := r.URL.Path
	longest := ""
	for _, section := range staffSections() {
		if _, err := authz.CanAny(actorOf(r).Staff(), section.act); err != nil {
			continue
		}
		f.Staff = append(f.Staff, page.StaffLink{Key: section.key, Path: section.path})
		inside := here == section.path || strings.HasPrefix(here, section.path+"/")
		if inside && len(section.path) > len(longest) {
			longest = section.path
		}
	}
	for i := range f.Staff {
		f.Staff[i].Here = f.Staff[i].Path == longest
	}
	return f
}

// staffHome is where the staff pages begin for somebody who signed in with these
// roles; empty for employees. It only makes a link: what a page shows is decided
// when it is asked for.
func staffHome(roles []portal.Role) string {
	for _, section := range staffSections() {
		for _, role := range roles {
			if slices.Contains(authz.Acts(role), section.act) {
				return section.path
			}
		}
	}
	return ""
}

// changesAsStaff reports whether a path belongs to a staff page that asks for a
// recent sign-in, so that the sign-in page does not lead back at once.
func changesAsStaff(path string) bool {
	return strings.HasPrefix(path, "/helpdesk/") || strings.HasPrefix(path, "/admin/")
}
