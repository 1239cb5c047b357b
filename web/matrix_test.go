package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// gate says who may use a route: all clients, signed-in people, or staff with an act.
// With mine, a device in the address must be their own.
type gate struct {
	anyone bool
	mine   bool
	act    authz.Act
}

// gates is the whole table of the https side: a route that is not in it fails the
// test, and so does a line without its route.
func gates() map[string]gate {
	table := map[string]gate{}
	add := func(g gate, routes ...string) {
		for _, r := range routes {
			table[r] = g
		}
	}
	add(gate{anyone: true}, "GET /login", "POST /login", "GET /help", "GET /ca", "GET /address", "GET /favicon.ico", "GET /robots.txt",
		"GET /ca/chain.pem", "GET /ca/chain.p7b", "GET /ca/{anchor}.cer", "GET /ca/{anchor}.pem", "GET /crl/{issuer}.crl",
		"POST /ocsp", "GET /ocsp/*",
		"GET /static/{name}", "GET /go", "POST /go", "GET /go/{code}", "POST /go/{code}",
		"GET /d/{token}/{file}", "HEAD /d/{token}/{file}")
	// Without a session: sign in first, unless a code may replace the password.
	add(gate{}, "GET /pickup", "POST /pickup", "GET /pickup/{code}")
	add(gate{}, "GET /", "POST /logout", "GET /new", "POST /new", "GET /new/key", "POST /new/key", "GET /new/platform",
		"GET /lost", "GET /handoff", "POST /handoff")
	for _, page := range []string{"", "/install", "/newfile", "/trouble", "/renew", "/lost", "/rename", "/remove", "/certificate.cer", "/certificate.pem"} {
		add(gate{mine: true}, "GET /devices/{id}"+page)
	}
	for _, act := range []string{"install", "collect", "trouble", "renew", "finish", "lost", "rename", "remove"} {
		add(gate{mine: true}, "POST /devices/{id}/"+act)
	}
	addStaffGates(add)
	return table
}

func addStaffGates(add func(gate, ...string)) {
	staff := func(act authz.Act, routes ...string) { add(gate{act: act}, routes...) }
	const person = "/helpdesk/people/{person}"
	staff(authz.FindPeople, "GET /helpdesk")
	staff(authz.ReadPerson, "GET "+person)
	staff(authz.Invite, "GET "+person+"/code", "POST "+person+"/code",
		"GET "+person+"/code/{invitation}", "GET "+person+"/code/{invitation}/slip")
	staff(authz.Block, "GET "+person+"/devices/{id}/block", "POST "+person+"/devices/{id}/block")
	staff(authz.Approve, "GET /helpdesk/approvals", "POST /helpdesk/approvals/{invitation}")
	staff(authz.ReadOverview, "GET /admin")
	staff(authz.ReadCertificates, "GET /admin/certificates", "GET /admin/certificates/{serial}", "GET /admin/devices",
		"GET /admin/devices/{id}", "GET /admin/orders", "GET /admin/orders/{order}")
	for _, what := range []string{"certificates/{serial}", "devices/{id}", "people/{person}"} {
		staff(authz.Revoke, "GET /admin/"+what+"/revoke", "POST /admin/"+what+"/revoke")
	}
	staff(authz.RevokeMany, "GET /admin/orders/new", "POST /admin/orders",
		"POST /admin/orders/{order}/confirm", "POST /admin/orders/{order}/drop")
	staff(authz.ApproveBulk, "POST /admin/orders/{order}/approve")
	staff(authz.HaltIssuing, "GET /admin/halt", "POST /admin/halt", "POST /admin/halt/resume")
	staff(authz.ReadChecks, "GET /admin/exchange", "GET /admin/exchange/certportal-exchange.ps1")
	staff(authz.ReadRoles, "GET /admin/people")
	staff(authz.ReadChecks, "GET /admin/checks", "GET /admin/ca", "GET /admin/ca/directory", "GET /admin/mail")
	staff(authz.RunChecks, "POST /admin/checks", "POST /admin/ca/addresses", "POST /admin/mail/{message}")
	staff(authz.PublishCRL, "POST /admin/ca/publish")
	staff(authz.TestIssue, "POST /admin/ca/trial", "POST /admin/ca/upstream")
	staff(authz.Export, "GET /admin/export", "POST /admin/export/{what}")
	staff(authz.ReadAuditLog, "GET /admin/audit")
}

// part is one client of the matrix, with the path of their own device.
type part struct {
	login string
	role  portal.Role // empty without a session
	*browser
	device string
}

// TestA10_EveryRouteForEveryRole requests every route of the router in every role,
// with the client's own ids and with those of others.
func TestA10_EveryRouteForEveryRole(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.add("audi", "Audi Tor", "Audi", portal.Auditor)
	p.add("adam", "Adam Min", "Adam", portal.Admin)
	others := p.signedIn("ben", iPhone).enrol("Ben's phone", "android")
	parts := []part{
		{login: "nobody", browser: p.browser(iPhone)}, {login: "anna", role: portal.Employee},
		{login: "hedi", role: portal.Helpdesk}, {login: "audi", role: portal.Auditor}, {login: "adam", role: portal.Admin},
	}
	for i := range parts {
		if parts[i].role != "" {
			parts[i].browser = p.signedIn(parts[i].login, android)
			parts[i].device = parts[i].enrol("Phone", "android")
		}
	}
	table, cells := gates(), 0
	for _, r := range p.routes() {
		name := r.method + " " + r.pattern
		g, ok := table[name]
		if !ok {
			t.Errorf("%s: nobody says who may", name)
			continue
		}
		delete(table, name)
		for _, who := range parts {
			if r.pattern == "/logout" && who.role != "" { // with a session of its own
				who.browser = p.signedIn(who.login, android)
			}
			cells += who.check(t, r, g, others)
		}
	}
	for name := range table {
		t.Errorf("%s: there is no such route", name)
	}
	t.Logf("%d cells", cells)
	// Empty forms and requests for other people's devices changed nothing.
	if got := p.certificates("ben"); got[portal.Issued] != 1 {
		t.Errorf("ben's certificates: got %v, want the one he had", got)
	}
	if got := p.entries(audit.AccessRefused); got == 0 {
		t.Error("no refusal stands in the ledger")
	}
}

// check asks for one route, of one's own and of another's, and returns how many
// cells that is.
func (who part) check(t *testing.T, r route, g gate, others string) int {
	t.Helper()
	cells := 0
	for _, own := range []bool{false, true} {
		device, person := others, "id-of-ben"
		if own {
			device, person = who.device, "id-of-"+who.login
		}
		if own && (who.role == "" || !strings.Contains(r.pattern, "{id}") && !strings.Contains(r.pattern, "{person}")) {
			continue // there is no such thing, or it is the same request
		}
		cells++
		got := who.ask(strings.ReplaceAll(r.path(device), "id-of-anna", person), r.method)
		what := fmt.Sprintf("%s %s as %s, own %v: got %d to %q", r.method, r.pattern, who.login, own, got.status, got.location())
		toSignIn := got.status == http.StatusSeeOther && strings.HasPrefix(got.location(), "/login")
		switch {
		case g.anyone:
			if toSignIn || got.status == http.StatusForbidden {
				t.Errorf("%s, want it open", what)
			}
		case who.role == "":
			if !toSignIn {
				t.Errorf("%s, want the sign-in page", what)
			}
		case g.act != "" && !slices.Contains(authz.Acts(who.role), g.act):
			if got.status != http.StatusForbidden {
				t.Errorf("%s, want 403", what)
			}
		case g.mine && !own:
			if got.status != http.StatusNotFound && got.status != http.StatusBadRequest {
				t.Errorf("%s, want 404 or a form refused unread", what)
			}
		case got.status == http.StatusForbidden && !who.refusedAnyway(g, own), toSignIn && r.pattern != "/logout", got.status >= 500:
			t.Errorf("%s, want it allowed", what)
		}
	}
	return cells
}

// refusedAnyway names what a role may do in general and not to these people: give
// themselves a code, and as helpdesk touch staff.
func (who part) refusedAnyway(g gate, own bool) bool {
	switch g.act {
	case authz.Invite, authz.Approve:
		return own
	case authz.Block:
		return own && who.role == portal.Helpdesk
	}
	return false
}

func (who part) ask(path, method string) answer {
	who.t.Helper()
	path = strings.NewReplacer("{serial}", strings.Repeat("0", 31)+"1", "{order}", "none", "{what}", "certificates").Replace(path)
	if method == http.MethodPost {
		return who.post(path)
	}
	return who.do(method, path, nil)
}
