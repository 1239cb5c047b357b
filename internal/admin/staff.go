package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

// StaffLimit is how many people of a role are listed.
const StaffLimit = 50

const (
	staffLife     = 30 * time.Second // the age at which the directory is asked again
	staffPatience = 10 * time.Second // how long a visitor waits for it
)

// Staff lists who has a role beyond Employee.
type Staff struct {
	At     time.Time // when the directory was asked
	Silent bool      // it did not answer, and there are no roles
	Roles  []StaffRole
}

// StaffRole is a role with the people who have it.
type StaffRole struct {
	Role   portal.Role
	Groups []StaffGroup
	People []StaffMember // sorted by name, at most StaffLimit
	More   bool          // there may be more
}

// StaffGroup is a directory group whose members have a role.
type StaffGroup struct {
	Name string // as in the settings

	// Missing is set when there is no such group, Unread when its members could not be read.
	Missing, Unread bool
}

// StaffMember is a person who has a role, with the names of the groups that give it.
type StaffMember struct {
	Person portal.Person
	Groups []string
}

// Staff lists who has which role. What the directory does not answer is missing in the
// list: that is no error.
func (s *Service) Staff(ctx context.Context, by portal.Actor) (Staff, error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadRoles}); err != nil || s.c.RoleGroups == nil {
		return Staff{}, err
	}
	now := s.c.Now()
	staff, err := s.staff.get(ctx, now, staffLife, staffPatience, func(ctx context.Context) (Staff, error) {
		groups, err := s.c.RoleGroups(ctx, StaffLimit)
		return Staff{At: now, Roles: s.staffRoles(groups)}, err
	})
	switch {
	case ctx.Err() != nil:
		return Staff{}, err
	case err != nil && !errors.Is(err, errBusy):
		s.c.Log.Warn("listing the people of the roles", "err", err)
	}
	staff.Silent = err != nil
	return staff, nil
}

// staffRoles sorts what the directory returned by role. A person of several groups is one
// member.
func (s *Service) staffRoles(groups []portal.RoleGroup) []StaffRole {
	var roles []StaffRole
	for _, role := range []portal.Role{portal.Helpdesk, portal.Auditor, portal.Admin} {
		row := StaffRole{Role: role}
		for _, g := range groups {
			if g.Role != role {
				continue
			}
			row.add(g)
			if g.Err != nil && !errors.Is(g.Err, portal.ErrNotFound) {
				s.c.Log.Warn("listing the people of a role", "role", string(role), "group", g.Name, "err", g.Err)
			}
		}
		slices.SortStableFunc(row.People, func(a, b StaffMember) int {
			return cmp.Compare(portal.Fold(a.Person.Name), portal.Fold(b.Person.Name))
		})
		if len(row.People) > StaffLimit {
			row.People, row.More = row.People[:StaffLimit], true
		}
		roles = append(roles, row)
	}
	return roles
}

// add adds a group and its members.
func (r *StaffRole) add(g portal.RoleGroup) {
	if g.Name != "" {
		missing := errors.Is(g.Err, portal.ErrNotFound)
		r.Groups = append(r.Groups, StaffGroup{Name: g.Name, Missing: missing, Unread: g.Err != nil && !missing})
	}
	r.More = r.More || g.More
	for _, p := range g.People {
		i := slices.IndexFunc(r.People, func(m StaffMember) bool { return m.Person.ID == p.ID })
		if i < 0 {
			i, r.People = len(r.People), append(r.People, StaffMember{Person: p})
		}
		if g.Name != "" {
			r.People[i].Groups = append(r.People[i].Groups, g.Name)
		}
	}
}
