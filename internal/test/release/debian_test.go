package release

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// machine is a Debian in a folder.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{t: t, root: filepath.Join(t.TempDir(), "root")}
	if err := command("cp", "-a", "--reflink=auto", testkit.Must(debian())(t), m.root); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.root, 0o755); err != nil { // the cache is for one account alone
		t.Fatal(err)
	}
	return m
}

// run runs a command there as root and gives its output.
func (m machine) run(name string, args ...string) string {
	m.t.Helper()
	return output(m.t, "chroot", append([]string{m.root, name}, args...)...)
}

// install installs a package file, or upgrades to it.
func (m machine) install(file string) string {
	m.t.Helper()
	if err := command("cp", file, filepath.Join(m.root, "tmp", "certportal.deb")); err != nil {
		m.t.Fatal(err)
	}
	return m.run("dpkg", "-i", "/tmp/certportal.deb")
}

func (m machine) write(file, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.root, file), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) wantNoFile(file string) {
	m.t.Helper()
	if _, err := os.Lstat(filepath.Join(m.root, file)); !os.IsNotExist(err) {
		m.t.Errorf("%s is still there (%v)", file, err)
	}
}

// start runs the command of the unit as its account until it is ready, with the credentials
// that systemd would hand to it.
func (m machine) start(ops string, environ ...string) *daemon.Process {
	m.t.Helper()
	unit := string(testkit.Must(os.ReadFile(filepath.Join(m.root, "usr/lib/systemd/system/certportal.service")))(m.t))
	_, rest, found := strings.Cut(unit, "\nExecStart=")
	line, _, _ := strings.Cut(rest, "\n")
	if !found || !strings.Contains(unit, "\nUser=certportal\n") {
		m.t.Fatalf("the unit has no command or account:\n%s", unit)
	}
	cmd := exec.Command("chroot", append([]string{"--userspec=certportal:certportal", m.root}, strings.Fields(line)...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, environ...)
	p, err := daemon.Run(m.t.Context(), cmd, func(ctx context.Context) error { return ready(ctx, "http://"+ops+"/readyz") })
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { p.Stop() })
	return p
}

func ready(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, resp.Status)
	}
	return nil
}

// debianPackage installs the older version, runs the portal, upgrades, runs it again with
// its CA, removes and purges it.
func debianPackage(t *testing.T, older, newer string) {
	m := newMachine(t)
	if out := m.install(one(t, older, "*.deb")); !strings.Contains(out, "/etc/certportal/certportal.yaml") {
		t.Errorf("the installation does not name the next step:\n%s", out)
	}
	unitIsHardened(t, m.root)
	if got, want := m.run("stat", "-c", "%a %U %G", "/var/lib/certportal"), "700 certportal certportal\n"; got != want {
		t.Errorf("data folder: %q, want %q", got, want)
	}
	if got, want := m.run("certportal", "version"), "certportal 1.0.0\n"; got != want {
		t.Errorf("version: %q, want %q", got, want)
	}
	ops := testkit.Must(daemon.FreeAddress())(t)
	settings := fmt.Sprintf("data: /var/lib/certportal\norganization: Contoso\nlisten: 127.0.0.1:0\nlisten_http: 127.0.0.1:0\nlisten_check: 127.0.0.1:0\n"+
		"listen_ops: %s\npublic_url: https://certificates.corp.example\npublic_http_url: http://pki.corp.example\nca: {root_key: ec-p256, issuing_key: ec-p256}\n", ops)
	m.write("etc/certportal/certportal.yaml", settings)
	m.start(ops).Stop()
	root := testkit.Must(os.ReadFile(filepath.Join(m.root, "var/lib/certportal/ca/root.crt")))(t)

	m.install(one(t, newer, "*.deb"))
	if got, want := m.run("certportal", "version"), "certportal 1.1.0\n"; got != want {
		t.Errorf("version after the upgrade: %q, want %q", got, want)
	}
	m.start(ops).Stop()
	wantFile := func(file, want string) {
		t.Helper()
		if got := string(testkit.Must(os.ReadFile(filepath.Join(m.root, file)))(t)); got != want {
			t.Errorf("%s changed:\n%s", file, got)
		}
	}
	wantFile("etc/certportal/certportal.yaml", settings)
	wantFile("var/lib/certportal/ca/root.crt", string(root))

	m.write("etc/certportal/ca-passphrase", "of the CA's keys\n")
	m.run("dpkg", "--remove", "certportal")
	m.wantNoFile("usr/bin/certportal")
	wantFile("etc/certportal/certportal.yaml", settings)
	if out := m.run("dpkg", "--purge", "certportal"); !strings.Contains(out, "kept: /var/lib/certportal") {
		t.Errorf("a purge does not say that it keeps the CA:\n%s", out)
	}
	wantFile("var/lib/certportal/ca/root.crt", string(root))
	wantFile("etc/certportal/ca-passphrase", "of the CA's keys\n")
	m.run("id", "certportal")
	m.purgeWithoutCA(one(t, newer, "*.deb"))
}

// purgeWithoutCA installs once more and finds nothing left behind when there is no CA to keep.
func (m machine) purgeWithoutCA(file string) {
	m.t.Helper()
	m.run("rm", "-r", "/var/lib/certportal", "/etc/certportal")
	m.install(file)
	m.run("dpkg", "--purge", "certportal")
	for _, gone := range []string{"var/lib/certportal", "etc/certportal", "usr/bin/certportal", "usr/lib/systemd/system/certportal.service"} {
		m.wantNoFile(gone)
	}
	if got := m.run("cut", "-d:", "-f1", "/etc/passwd"); strings.Contains(got, "certportal") {
		m.t.Errorf("the account is still there:\n%s", got)
	}
}
