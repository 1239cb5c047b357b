package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/web/page"
)

// staffFresh is how long after the sign-in staff may change something without signing
// in again.
const staffFresh = 10 * time.Minute

type actorKey struct{}

// actorOf returns the actor, on routes that [Server.staff] made.
func actorOf(r *http.Request) portal.Actor {
	a, _ := r.Context().Value(actorKey{}).(portal.Actor)
	return a
}

// staff makes the routes of one act. Roles are read from the directory with every
// request, so that a lost role takes effect at once (attack A11). Acts that change
// something also need a sign-in within the last ten minutes, already for their form.
func (s *Server) staff(r chi.Router, act authz.Act) chi.Router {
	return r.With(s.requireSession, s.requireWhole, s.allow(act))
}

// allow lets people pass who may do the act to any person. The act itself checks the
// other person.
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
				back := s.returnPath(r)
				if err := s.keepTyped(w, r, back); err != nil {
					return err
				}
				return redirect(w, signInAddress(back))
			}
			by := portal.Actor{Person: person.ID, Role: role, Address: clientAddress(r), Request: requestInfoOf(r).id, Record: &person}
			ctx := context.WithValue(r.Context(), actorKey{}, by)
			next.ServeHTTP(w, r.WithContext(ctx))
			return nil
		})
	}
}

// signedInWithin reports whether the person authenticated within the time.
func (s *Server) signedInWithin(a account, within time.Duration) bool {
	age := s.now().Sub(a.proven)
	return age >= 0 && age <= within
}

// noteDenied records a denial by package authz. The act stays denied if that fails:
// nothing was done.
func (s *Server) noteDenied(r *http.Request, err error) {
	var denied *authz.Error
	if !errors.As(err, &denied) {
		return
	}
	if err := s.registrar.NoteDeniedAct(r.Context(), s.by(r), routeOf(r), string(denied.Act), string(denied.Reason)); err != nil {
		s.log.Error("recording a refusal", "request", requestInfoOf(r).id, "err", err)
	}
}

// deniedProblem is status and page of a denial by package authz. Devices of other
// people answer 404.
func deniedProblem(d *authz.Error) (int, page.Kind) {
	switch d.Reason {
	case authz.ReasonNoTarget, authz.ReasonNotOwn:
		return http.StatusNotFound, page.NotFound
	case authz.ReasonAccount:
		return http.StatusForbidden, page.Disabled
	}
	return http.StatusForbidden, page.Kind("access-" + string(d.Reason))
}

// staffSection is a part of the staff pages and the act that it needs.
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

// staffLayout is the layout of a staff page, with the parts that the person may open.
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

// staffHome is the first staff page for these roles; empty for employees. It only
// makes a link: each page checks again.
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

// changesAsStaff reports whether a staff page may need a recent sign-in, so that the
// sign-in page does not redirect back at once.
func changesAsStaff(path string) bool {
	return strings.HasPrefix(path, "/helpdesk/") || strings.HasPrefix(path, "/admin/")
}
