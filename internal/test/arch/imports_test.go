package arch

import (
	"slices"
	"strings"
	"testing"
)

// layers lists the packages by layer, lowest first. A package imports packages of
// lower layers only.
func layers() [][]string {
	return [][]string{
		{"internal/durable", "internal/escape", "internal/powershell", "ca/witness", "cmd/certportal/internal/manual"},
		{"ca", "templates", "static", "internal/audit", "internal/deliver", "internal/catalogue", "store/sqldb"},
		{"ca/upstream", "ca/upstream/ntlm", "ca/crl", "ca/ocsp", "ca/fetch", "internal/portal", "web/page", "internal/exchange"},
		{"ca/upstream/kerberos"},
		{"ca/upstream/wire", "internal/signin", "internal/authz", "internal/servercert", "internal/succession"},
		{"ca/upstream/adcs", "ca/upstream/adcs/discovery", "ca/upstream/ejbca", "ca/upstream/est", "ca/upstream/step", "ca/upstream/vault"},
		{"ca/upstream/certsrv"},
		{"internal/enroll", "internal/drift"},
		{"internal/admin", "internal/helpdesk", "internal/scep", "internal/oidc", "internal/directory", "internal/notify",
			"internal/auditmonitor", "internal/ops", "internal/revoker", "internal/autotls"},
		{"store", "web"},
		{"store/seed", "cmd/certportal/internal/config", "cmd/certportal/internal/exchangecheck"},
		{"cmd/certportal/internal/hsm", "cmd/certportal/internal/backup", "cmd/certportal/internal/move", "cmd/certportal/internal/setup"},
		{"cmd/certportal/internal/localca"},
		{"cmd/certportal/internal/doctor"},
		{"cmd/certportal/internal/app"},
		{"cmd/certportal"},
	}
}

const testPackages = "internal/test/"

func TestImportsGoToLowerLayers(t *testing.T) {
	layer := make(map[string]int)
	for i, names := range layers() {
		for _, name := range names {
			layer[name] = i
		}
	}
	for _, p := range packages(t) {
		if strings.HasPrefix(p.name(), testPackages) {
			continue
		}
		own, ok := layer[p.name()]
		if !ok {
			t.Errorf("%s is in no layer: add it to layers, above what it imports and below what imports it", p.name())
			continue
		}
		for _, imported := range p.Imports {
			name, ours := strings.CutPrefix(imported, module)
			if ours && layer[name] >= own && !strings.HasPrefix(name, testPackages) {
				t.Errorf("%s (layer %d) imports %s (layer %d): declare an interface where it is used, or move what both need to a lower layer",
					p.name(), own, name, layer[name])
			}
		}
	}
}

func TestTestPackagesAreImportedByTestsOnly(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+testPackages) && !strings.HasPrefix(p.name(), testPackages) {
				t.Errorf("%s imports %s: only _test.go files may", p.name(), imported)
			}
		}
	}
}

// importers says which packages may import a package of others, besides those
// under internal/test. A name that ends in a slash stands for all below it.
func importers() map[string][]string {
	return map[string][]string{
		"net/http":                   {"web", "ca/fetch", "ca/upstream/", "internal/scep", "internal/ops", "internal/revoker", "internal/oidc", "internal/autotls", "cmd/"},
		"database/sql":               {"store", "store/"},
		"github.com/go-ldap/ldap/v3": {"internal/directory", "cmd/"},

		"github.com/ThalesGroup/crypto11": {"cmd/certportal/internal/hsm"},
	}
}

func TestProtocolsHaveTheirPackages(t *testing.T) {
	for _, p := range packages(t) {
		for imported, allowed := range importers() {
			if slices.Contains(p.Imports, imported) && !mayImport(p.name(), allowed) {
				t.Errorf("%s imports %s, which only %s may: hand it a function or an interface instead",
					p.name(), imported, strings.Join(allowed, ", "))
			}
		}
	}
}

func mayImport(name string, allowed []string) bool {
	return strings.HasPrefix(name, testPackages) || slices.ContainsFunc(allowed, func(a string) bool {
		return a == name || strings.HasSuffix(a, "/") && strings.HasPrefix(name, a)
	})
}

// The CA gets its settings and the time as arguments.
func TestCAReadsNoEnvironment(t *testing.T) {
	for _, p := range packages(t) {
		for _, never := range []string{"os/user", "flag"} {
			if p.name() == "ca" && slices.Contains(p.Imports, never) {
				t.Errorf("ca imports %s: pass the value as an argument", never)
			}
		}
	}
}

// Containers have no zone files: without those in the program pages.time_zone would be
// refused there.
func TestZonesAreInTheProgram(t *testing.T) {
	for _, p := range packages(t) {
		if p.name() == "cmd/certportal" && !slices.Contains(p.Imports, "time/tzdata") {
			t.Error("cmd/certportal does not import time/tzdata")
		}
	}
}
