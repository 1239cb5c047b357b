package arch

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dangerous says which packages, besides tests, may import what attacks or weak cryptography
// need, and for what. An empty list: none may.
func dangerous() map[string][]string {
	return map[string][]string{
		"os/exec":        {}, // no program is run
		"plugin":         {},
		"unsafe":         {},
		"net/http/pprof": {},
		"encoding/gob":   {},
		"math/rand":      {},
		"crypto/des":     {}, // old phones read files by go-pkcs12 alone
		"crypto/rc4":     {},
		"math/rand/v2": { // jitter of pauses, and sample data
			"ca/fetch", "store/sqldb", "store/seed", "internal/notify", "internal/drift", "internal/directory", "internal/enroll",
		},
		"crypto/md5": {"ca/upstream/ntlm", "ca/upstream/wire"}, // NTLM and its channel binding, RFC 5929
		"crypto/sha1": { // key identifiers, OCSP, fingerprints that Windows shows, files for old phones
			"ca", "ca/ocsp", "internal/deliver", "internal/exchange", "cmd/certportal", "cmd/certportal/internal/config", "cmd/certportal/internal/app",
		},
		"text/template": {"internal/powershell", "store/sqldb"}, // with quoting of their own; embedded templates
		"encoding/xml":  {"ca/upstream/adcs", "cmd/certportal/internal/exchangecheck"},
	}
}

func TestDangerousPackagesHaveAReason(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, s := range sources(t) {
		if s.test() || strings.HasPrefix(s.pkg, testPackages) {
			continue
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			allowed, isDangerous := dangerous()[name]
			if !isDangerous {
				continue
			}
			if !slices.Contains(allowed, s.pkg) {
				t.Errorf("%s in %s imports %s: find another way, or add it here with the reason", s.name, s.pkg, name)
			}
			if used[name] == nil {
				used[name] = map[string]bool{}
			}
			used[name][s.pkg] = true
		}
	}
	for name, allowed := range dangerous() {
		if unused := slices.DeleteFunc(slices.Clone(allowed), func(p string) bool { return used[name][p] }); len(unused) > 0 {
			t.Errorf("%s is not imported any more by %v (it is by %v)", name, unused, slices.Sorted(maps.Keys(used[name])))
		}
	}
}
