package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// scripts runs the scripts of the package below a folder, with programs that only say what
// they were asked for.
type scripts struct {
	root, log string
	status    string // of the service: exit code of its last run
}

func newScripts(t *testing.T) *scripts {
	t.Helper()
	m := &scripts{root: t.TempDir(), status: "0"}
	m.log = filepath.Join(m.root, "log")
	for _, folder := range []string{"run/systemd/system", "etc", "var/lib", "bin"} {
		testkit.NoError(t, os.MkdirAll(filepath.Join(m.root, folder), 0o755))
	}
	for name, text := range map[string]string{
		"getent": "true", "userdel": "echo userdel $* >>" + m.log, "useradd": "echo useradd $* >>" + m.log,
		"systemctl": "echo systemctl $* >>" + m.log + "\ncase $1 in show) cat " + m.root + "/status;; is-failed) ! grep -q '^0$' " + m.root + "/status;; esac",
		"install":   "for last; do :; done\nmkdir -p \"$last\" && chmod 0755 \"$last\"",
	} {
		testkit.NoError(t, os.WriteFile(filepath.Join(m.root, "bin", name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	return m
}

// run runs a script of the package and returns what it printed and asked for.
func (m *scripts) run(t *testing.T, script string, args ...string) string {
	t.Helper()
	testkit.NoError(t, os.WriteFile(filepath.Join(m.root, "status"), []byte(m.status+"\n"), 0o644))
	os.Remove(m.log)
	text := string(testkit.Must(os.ReadFile(filepath.Join("../../../scripts/packaging", script)))(t))
	for _, folder := range []string{"/etc/", "/var/lib/", "/run/"} {
		text = strings.ReplaceAll(text, folder, m.root+folder)
	}
	cmd := exec.Command("sh", append([]string{"-c", text, script}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(m.root, "bin")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	asked, _ := os.ReadFile(m.log)
	return string(out) + string(asked)
}

func (m *scripts) path(name string) string { return filepath.Join(m.root, name) }

// TestPackageKeepsModes: an upgrade leaves the modes of the folders as they are.
func TestPackageKeepsModes(t *testing.T) {
	m := newScripts(t)
	m.run(t, "postinstall.sh", "configure", "")
	for _, folder := range []string{"etc/certportal", "var/lib/certportal"} {
		testkit.NoError(t, os.Chmod(m.path(folder), 0o710))
	}
	m.run(t, "postinstall.sh", "configure", "1.0.0")
	for _, folder := range []string{"etc/certportal", "var/lib/certportal"} {
		testkit.Equal(t, folder, testkit.Must(os.Stat(m.path(folder)))(t).Mode().Perm(), os.FileMode(0o710))
	}
}

// TestPackageStartsWhatEndedWith78: systemd does not start again what ended with 78. The
// upgrade does, and leaves a service alone that was stopped or fails otherwise.
func TestPackageStartsWhatEndedWith78(t *testing.T) {
	for status, starts := range map[string]bool{"78": true, "1": false, "0": false} {
		m := newScripts(t)
		m.status = status
		asked := m.run(t, "postinstall.sh", "configure", "1.0.0")
		if got := strings.Contains(asked, "systemctl start "); got != starts {
			t.Errorf("after exit %s: started %v, want %v:\n%s", status, got, starts, asked)
		}
		testkit.Contains(t, "upgrade", asked, "systemctl try-restart certportal.service")
	}
}

// TestPurgeKeepsTheAccountOfData: the account stays while a data folder does.
func TestPurgeKeepsTheAccountOfData(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		data           string // folder with a file in it
		gone           bool   // before the purge
		keeps          bool
	}{
		{"never used", "data: /var/lib/certportal\n", "", false, false},
		{"used", "data: /var/lib/certportal\n", "var/lib/certportal", false, true},
		{"elsewhere", "# x\ndata: \"ROOT/srv/portal\" # on another disk\n", "srv/portal", false, true},
		{"elsewhere, in single quotes", "data: 'ROOT/srv/portal' # on another disk\n", "srv/portal", false, true},
		{"elsewhere, and gone", "data: ROOT/srv/portal\n", "srv/portal", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newScripts(t)
			m.run(t, "postinstall.sh", "configure", "")
			settings := m.path("etc/certportal/certportal.yaml")
			testkit.NoError(t, os.WriteFile(settings, []byte(strings.ReplaceAll(tt.settings, "ROOT", m.root)), 0o644))
			if tt.data != "" {
				testkit.NoError(t, os.MkdirAll(m.path(tt.data), 0o700))
				testkit.NoError(t, os.WriteFile(filepath.Join(m.path(tt.data), "portal.db"), nil, 0o600))
			}
			m.run(t, "postremove.sh", "remove")
			testkit.NoError(t, os.Remove(settings)) // dpkg, before the purge
			if tt.gone {
				testkit.NoError(t, os.RemoveAll(m.path(tt.data)))
			}
			said := m.run(t, "postremove.sh", "purge")
			if got := !strings.Contains(said, "userdel certportal\n") || strings.Contains(said, "kept:"); got != tt.keeps {
				t.Errorf("keeps the account: %v, want %v:\n%s", got, tt.keeps, said)
			}
		})
	}
}
