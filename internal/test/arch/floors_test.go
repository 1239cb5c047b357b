package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// floors says on which floor every room stands. A room missing here fails the
// test: whoever builds one decides where it belongs.
func floors() map[string]float64 {
	return map[string]float64{
		"cmd/certportal":        4,
		"web":                   3,
		"web/page":              2.5, // what web shows; knows no other room above the cellar
		"internal/scep":         3,
		"store":                 2,
		"store/sqldb":           0,
		"store/seed":            2.5, // sample data
		"internal/directory":    2,
		"internal/oidc":         2,
		"internal/authz":        1.5, // who may do what
		"internal/admin":        1.7, // the administrator's work
		"internal/helpdesk":     1.7, // the helpdesk's work
		"internal/auditmonitor": 1.8, // verifies, seals and sends the ledger
		"internal/notify":       1.7, // mail about what happened
		"internal/drift":        1.5, // above the enrolment it watches
		"internal/enroll":       1,
		"internal/signin":       0.7,
		"internal/portal":       0.5, // person, device, actor, errors
		"ca/crl":                1,
		"ca/ocsp":               1,
		"internal/ops":          3, // health and metrics on their own port
		"ca":                    0,
		"internal/deliver":      0,
		"internal/catalogue":    0, // message catalogues
		"internal/audit":        0,
		"templates":             0,
		"static":                0,

		// Test kits may use everything and are used by tests alone.
		"internal/test/arch":         5,
		"internal/test/pgtest":       0.5,
		"internal/test/daemon":       0,
		"internal/test/samba":        0.5,
		"internal/test/slapd":        0.5,
		"internal/test/ldapserver":   0,
		"internal/test/oidcserver":   0,
		"internal/test/smtpserver":   0.5,
		"internal/test/toxiproxy":    0.5,
		"internal/test/relyingparty": 0.5,
		"internal/test/e2e":          5,
	}
}

// forbidden says what a room must never know, whatever its floor.
func forbidden() map[string][]string {
	return map[string][]string{
		"web":               {"database/sql", "github.com/go-ldap/ldap/v3"},
		"internal/scep":     {"database/sql", "github.com/go-ldap/ldap/v3"},
		"internal/admin":    {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"internal/helpdesk": {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"internal/notify":   {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"internal/drift":    {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"internal/enroll":   {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"ca/crl":            {"database/sql", "net/http"},
		"ca/ocsp":           {"database/sql", "net/http"},
		"internal/ops":      {"database/sql", "github.com/go-ldap/ldap/v3"},
		"ca":                {"os/user", "flag", "net/http", "database/sql"},
		"web/page":          {"database/sql", "net/http"},
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

const module = "certportal/"

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v", err)
	}
	var list []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func TestImportsGoDown(t *testing.T) {
	floors := floors()
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		floor, ok := floors[room]
		if !ok {
			t.Errorf("%s stands on no floor", room)
			continue
		}
		for _, imported := range p.Imports {
			below, ours := strings.CutPrefix(imported, module)
			if ours && floors[below] >= floor {
				t.Errorf("%s (floor %v) imports %s (floor %v)", room, floor, below, floors[below])
			}
		}
	}
}

func TestRoomsDoNotKnow(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, never := range forbidden()[strings.TrimPrefix(p.ImportPath, module)] {
				if imported == never {
					t.Errorf("%s imports %s", p.ImportPath, never)
				}
			}
		}
	}
}
