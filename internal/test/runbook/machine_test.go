package runbook

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// shims stand for the programs of a machine with systemd and an account for the portal: there
// is neither in a test. They do what the program would as far as the portal sees it.
var shims = map[string]string{
	"sudo":    `[ "$1" = -u ] && shift 2; exec "$@"`,
	"chown":   `exit 0`,
	"install": `args=(); while [ $# -gt 0 ]; do case $1 in -o|-g) shift 2;; *) args+=("$1"); shift;; esac; done; exec /usr/bin/install "${args[@]}"`,
	"systemctl": `
case $1 in
stop|restart)
	if [ -e "$RUN/pid" ]; then kill "$(cat "$RUN/pid")"; while kill -0 "$(cat "$RUN/pid")" 2>/dev/null; do read -rt 0.05 <> <(:) || :; done; rm "$RUN/pid"; fi ;;
esac
case $1 in
start|restart)
	[ -e "$RUN/pid" ] && exit 0
	mkdir -p "$RUN/credentials"; cp /etc/certportal/ca-passphrase "$RUN/credentials/"
	CREDENTIALS_DIRECTORY=$RUN/credentials setsid certportal serve --config /etc/certportal/certportal.yaml >>"$RUN/log" 2>&1 </dev/null 9>&- &
	echo $! >"$RUN/pid"
	until certportal health --config /etc/certportal/certportal.yaml >/dev/null 2>&1; do
		kill -0 "$(cat "$RUN/pid")" || { cat "$RUN/log"; exit 1; }
	done ;;
esac`,
}

// machine is a machine with a portal in folders of the test.
type machine struct {
	t        *testing.T
	root     string
	portal   *strings.Replacer // paths of the docs to those of the test
	sections map[string][]string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), sections: testkit.DocSections(t, "runbooks.md", "sh")}
	var pairs []string
	for _, folder := range []string{"/etc/certportal", "/var/lib/certportal", "/var/backups/certportal", "/var/tmp", "/media/safe", "/run/portal"} {
		testkit.NoError(t, os.MkdirAll(m.root+folder, 0o700))
		pairs = append(pairs, folder, m.root+folder)
	}
	m.portal = strings.NewReplacer(pairs...)
	bin := filepath.Join(m.root, "bin")
	testkit.NoError(t, os.Mkdir(bin, 0o700))
	for name, script := range shims {
		m.write("/bin/"+name, "#!/bin/bash\n"+m.portal.Replace(script)+"\n", 0o700)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "certportal"), "certportal/cmd/certportal")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(m.kill)
	return m
}

// write makes a file of a path in the test's own root.
func (m *machine) write(path, content string, mode os.FileMode) {
	m.t.Helper()
	testkit.NoError(m.t, os.WriteFile(m.root+path, []byte(content), mode))
}

// kill ends a portal that a failed test left.
func (m *machine) kill() {
	text, err := os.ReadFile(m.root + "/run/portal/pid")
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// setUp is the installation: settings as certportal setup writes them, a CA, made-up
// certificates, a started portal, a first backup.
func (m *machine) setUp() {
	m.t.Helper()
	port := func() string { return testkit.Must(daemon.FreeAddress())(m.t) }
	m.write("/etc/certportal/certportal.yaml", fmt.Sprintf(`data: %s
organization: Contoso
public_url: https://certificates.corp.example
public_http_url: http://pki.corp.example
listen: %s
listen_http: %s
listen_ops: %s
listen_check: %s
ca: {root_key: ec-p256, issuing_key: ec-p256}
`, m.root+"/var/lib/certportal", port(), port(), port(), port()), 0o600)
	for _, name := range []string{"ca-passphrase", "backup-passphrase"} {
		m.write("/etc/certportal/"+name, "correct horse battery "+name+"\n", 0o600)
	}
	m.run(`$CP seed --certificates 30
with_ca ca init < /etc/certportal/ca-passphrase
systemctl start certportal
$CP health --ready`)
	m.backUp()
}

// backUp makes another backup.
func (m *machine) backUp() {
	m.t.Helper()
	m.run("$CP backup --to /var/backups/certportal --passphrase-file /etc/certportal/backup-passphrase")
}

// run runs lines after those that every section needs, and returns their output.
func (m *machine) run(lines string) string {
	m.t.Helper()
	out, err := m.try(lines)
	if err != nil {
		log, _ := os.ReadFile(m.root + "/run/portal/log")
		m.t.Fatalf("%v\n%s\n%s\nlog:\n%s", err, lines, out, log)
	}
	return out
}

func (m *machine) try(lines string) (string, error) {
	m.t.Helper()
	script := m.sections[""][0] + "\n" + lines
	cmd := exec.CommandContext(m.t.Context(), "bash", "-euo", "pipefail", "-c", m.portal.Replace(script))
	cmd.Env = append(testkit.Environ(), "PATH="+m.root+"/bin:"+os.Getenv("PATH"), "RUN="+m.root+"/run/portal")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// section runs a block of a section of the docs.
func (m *machine) section(name string, block int) string {
	m.t.Helper()
	blocks := m.sections[name]
	if block >= len(blocks) {
		m.t.Fatalf("section %q has %d blocks", name, len(blocks))
	}
	return m.run(blocks[block])
}

// listed is a certificate as certportal list shows it.
type listed struct {
	Serial string `json:"serial"`
	Status string `json:"status"`
	UPN    string `json:"upn"` // none: a certificate of the portal itself
}

// certificates are those of people.
func (m *machine) certificates(filter string) []listed {
	m.t.Helper()
	var all []listed
	for line := range strings.Lines(m.run("$CP list --json " + filter)) {
		var c listed
		testkit.NoError(m.t, json.Unmarshal([]byte(line), &c))
		if c.UPN != "" {
			all = append(all, c)
		}
	}
	return all
}

// backups counts the files of backups.
func (m *machine) backups() int {
	m.t.Helper()
	return len(testkit.Must(filepath.Glob(m.root + "/var/backups/certportal/*.age"))(m.t))
}

// root256 is the SHA-256 of the root's certificate.
func (m *machine) root256() string {
	m.t.Helper()
	return m.run("sha256sum < /var/lib/certportal/ca/root.crt")
}
