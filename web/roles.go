package web

import (
	"net/http"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/web/page"
)

// showRoles is GET /admin/people: the people and acts of each role. The acts come from
// package authz itself.
func (s adminPages) showRoles(w http.ResponseWriter, r *http.Request) error {
	staff, err := s.admin.Staff(r.Context(), actorOf(r))
	if err != nil {
		return err
	}
	p := page.AdminPeople{Layout: s.staffLayout(r), Read: staff.At, Silent: staff.Silent}
	for _, role := range staff.Roles {
		p.Holders = append(p.Holders, roleHolders(role))
	}
	for _, role := range authz.Roles() {
		row := page.AdminRole{Role: string(role)}
		for _, act := range authz.Acts(role) {
			row.Acts = append(row.Acts, string(act))
		}
		p.Roles = append(p.Roles, row)
	}
	return s.render(w, r, http.StatusOK, p)
}

func roleHolders(role admin.StaffRole) page.AdminHolders {
	h := page.AdminHolders{Role: string(role.Role), More: role.More}
	for _, g := range role.Groups {
		h.Groups = append(h.Groups, page.AdminGroup{Name: g.Name, Missing: g.Missing, Unread: g.Unread})
	}
	for _, m := range role.People {
		h.People = append(h.People, page.AdminPerson{
			ID: string(m.Person.ID), Name: m.Person.Name, UPN: m.Person.UPN, Disabled: m.Person.Disabled, Groups: m.Groups,
		})
	}
	return h
}
