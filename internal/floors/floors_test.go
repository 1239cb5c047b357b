package floors

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
		"cmd/certportal": 4,
		"web":            3,
		"web/page":       2.5, // what web shows; knows no other room above the cellar
		"scep":           3,
		"store":          2,
		"directory":      2,
		"openid":         2,
		"access":         1.5, // who may do what
		"admin":          1.7, // the administrator's work
		"desk":           1.7, // the helpdesk's work
		"audit":          1.8, // verifies, seals and sends the ledger
		"notify":         1.7, // mail about what happened
		"drift":          1.5, // above the enrolment it watches
		"enroll":         1,
		"revocation":     1,
		"ocsp":           1,
		"ops":            3, // health and metrics on their own port
		"ca":             0,
		"deliver":        0,
		"ledger":         0,
		"templates":      0,
		"static":         0,

		// Test kits may use everything and are used by tests alone.
		"internal/floors":    5,
		"internal/pgtest":    0.5,
		"internal/daemon":    0,
		"internal/addc":      0.5,
		"internal/slapdtest": 0.5,
		"internal/ldaptest":  0,
		"internal/oidctest":  0,
		"internal/smtptest":  0.5,
		"internal/toxic":     0.5,
		"internal/relying":   0.5,
		"internal/e2e":       5,
	}
}

// forbidden says what a room must never know, whatever its floor.
func forbidden() map[string][]string {
	return map[string][]string{
		"web":        {"database/sql", "github.com/go-ldap/ldap/v3"},
		"scep":       {"database/sql", "github.com/go-ldap/ldap/v3"},
		"admin":      {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"desk":       {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"notify":     {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"drift":      {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"enroll":     {"database/sql", "net/http", "github.com/go-ldap/ldap/v3"},
		"revocation": {"database/sql", "net/http"},
		"ocsp":       {"database/sql", "net/http"},
		"ops":        {"database/sql", "github.com/go-ldap/ldap/v3"},
		"ca":         {"os/user", "flag", "net/http", "database/sql"},
		"web/page":   {"database/sql", "net/http"},
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
	cmd.Dir = "../.."
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
