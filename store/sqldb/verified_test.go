package sqldb_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store/sqldb"
)

// Over the network only verified TLS keeps others from reading and changing the records.
func TestUnverified(t *testing.T) {
	t.Parallel()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	root := fixture.SelfSigned(t, fixture.NewSerial(t), testkit.Noon, testkit.Noon.AddDate(1, 0, 0))
	testkit.NoError(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), 0o600))
	for address, want := range map[string]string{
		"sqlite:/var/lib/portal.db":                                                       "",
		"postgres://portal@127.0.0.1/portal":                                              "",
		"postgres://portal@[::1]:5433/portal?sslmode=disable":                             "",
		"postgres://portal@localhost/portal":                                              "",
		"postgres:///portal?host=/run/postgresql":                                         "",
		"postgres://portal@db.corp.example/portal":                                        "db.corp.example",
		"postgres://portal@db.corp.example/portal?sslmode=disable":                        "db.corp.example",
		"postgres://portal@db.corp.example/portal?sslmode=prefer":                         "db.corp.example",
		"postgres://portal@db.corp.example/portal?sslmode=require":                        "db.corp.example",
		"postgres://portal@10.0.0.9/portal?sslmode=allow":                                 "10.0.0.9",
		"postgres://portal@db.corp.example/portal?sslmode=verify-full":                    "",
		"postgres://portal@127.0.0.1,db.corp.example/portal?sslmode=require":              "db.corp.example",
		"postgres://portal@db.corp.example/portal?sslmode=verify-ca&sslrootcert=" + roots: "",
		"postgres://portal@db.corp.example/portal?sslmode=require&sslrootcert=" + roots:   "", // as verify-ca
	} {
		testkit.Equal(t, address, sqldb.Unverified(address), want)
	}
}
