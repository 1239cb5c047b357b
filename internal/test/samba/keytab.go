package samba

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
)

// Realm is that of the domain in Kerberos.
func Realm() string { return strings.ToUpper(Domain) }

// Keytab writes the keys of a principal, such as svc-portal or HTTP/ca.corp.example.test,
// into a file as they are now.
func (dc *DC) Keytab(t testing.TB, principal string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keytab")
	cmd := exec.Command(daemon.Program("samba-tool"), "domain", "exportkeytab", file, "--principal="+principal, "--configfile="+dc.config())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("exporting keys of %s: %v\n%s", principal, err, out)
	}
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("exporting keys of %s: %v", principal, err)
	}
	return file
}

// KerberosConfig is a krb5.conf that names the controller.
func (dc *DC) KerberosConfig() string { return kerberosConfig(dc.Address + ":88") }

func kerberosConfig(kdc string) string {
	return fmt.Sprintf("[realms]\n\t%s = {\n\t\tkdc = %s\n\t}\n", Realm(), kdc)
}
