package release

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// run runs a command there as root and gives its output. Nothing of this machine's environment
// goes with it: its folder for temporary files is not there.
func (m machine) run(name string, args ...string) string {
	m.t.Helper()
	return output(m.t, "env", append([]string{"-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "chroot", m.root, name}, args...)...)
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
func (m machine) start(ops string) *daemon.Process {
	m.t.Helper()
	unit := string(testkit.Must(os.ReadFile(filepath.Join(m.root, "usr/lib/systemd/system/certportal.service")))(m.t))
	_, rest, found := strings.Cut(unit, "\nExecStart=")
	line, _, _ := strings.Cut(rest, "\n")
	if !found || !strings.Contains(unit, "\nUser=certportal\n") {
		m.t.Fatalf("the unit has no command or account:\n%s", unit)
	}
	cmd := exec.Command("chroot", append([]string{"--userspec=certportal:certportal", m.root}, strings.Fields(line)...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "CREDENTIALS_DIRECTORY=" + m.credentials()}
	p, err := daemon.Run(m.t.Context(), cmd, func(ctx context.Context) error { return daemon.Answers(ctx, "http://"+ops+"/readyz") })
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { p.Stop() })
	return p
}

// credentials puts those of the drop-in where systemd puts them.
func (m machine) credentials() string {
	m.t.Helper()
	const folder = "/run/credentials/certportal.service"
	m.run("rm", "-rf", folder)
	m.run("install", "-d", "-m", "0500", "-o", "certportal", folder)
	dropIn := string(testkit.Must(os.ReadFile(filepath.Join(m.root, "etc/systemd/system/certportal.service.d/setup.conf")))(m.t))
	loaded := regexp.MustCompile(`(?m)^LoadCredential=([^:]+):(.+)$`).FindAllStringSubmatch(dropIn, -1)
	for _, c := range loaded {
		m.run("install", "-m", "0400", "-o", "certportal", c[2], folder+"/"+c[1])
	}
	if len(loaded) != 1 {
		m.t.Errorf("%d credentials in\n%s", len(loaded), dropIn)
	}
	return folder
}

// debianPackage installs the older version, runs the portal, upgrades, runs it again with
// its CA, removes and purges it.
func debianPackage(t *testing.T, older, newer string) {
	m := newMachine(t)
	if out := m.install(one(t, older, "*.deb")); !strings.Contains(out, "certportal setup") {
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
	settings := m.setup(ops)
	running := m.start(ops)
	m.enrol(settings)
	running.Stop()
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
	wantFile("etc/certportal/certportal.yaml", settings.text)
	wantFile("var/lib/certportal/ca/root.crt", string(root))

	passphrase := string(testkit.Must(os.ReadFile(filepath.Join(m.root, "etc/certportal/ca-passphrase")))(t))
	m.run("dpkg", "--remove", "certportal")
	m.wantNoFile("usr/bin/certportal")
	wantFile("etc/certportal/certportal.yaml", settings.text)
	if out := m.run("dpkg", "--purge", "certportal"); !strings.Contains(out, "kept: /var/lib/certportal") {
		t.Errorf("a purge does not say that it keeps the CA:\n%s", out)
	}
	wantFile("var/lib/certportal/ca/root.crt", string(root))
	wantFile("etc/certportal/ca-passphrase", passphrase)
	m.run("id", "certportal")
	m.purgeWithoutCA(one(t, newer, "*.deb"))
}

// purgeWithoutCA installs once more: with a passphrase alone, as the CA may be elsewhere,
// and then with nothing to keep.
func (m machine) purgeWithoutCA(file string) {
	m.t.Helper()
	m.run("rm", "-r", "/var/lib/certportal")
	m.install(file)
	if out := m.run("dpkg", "--purge", "certportal"); !strings.Contains(out, "kept: /etc/certportal") {
		m.t.Errorf("a purge does not say that it keeps the passphrase:\n%s", out)
	}
	m.run("rm", "-r", "/etc/certportal")
	m.install(file)
	m.run("dpkg", "--purge", "certportal")
	for _, gone := range []string{"var/lib/certportal", "etc/certportal", "usr/bin/certportal", "usr/lib/systemd/system/certportal.service"} {
		m.wantNoFile(gone)
	}
	if got := m.run("cut", "-d:", "-f1", "/etc/passwd"); strings.Contains(got, "certportal") {
		m.t.Errorf("the account is still there:\n%s", got)
	}
}
