package setup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// answered is setup for an installed service, with all answers given.
func answered(t *testing.T, out *bytes.Buffer, change map[string]string) Config {
	folder := t.TempDir()
	c := Config{
		In: strings.NewReader(""), Out: out, AskNothing: true,
		Given: map[string]string{
			"organization": "Contoso", "public_url": "certificates.corp.example", "public_http_url": "pki.corp.example",
			"directory.kind": "builtin", "directory.domain": "corp.example",
		},
		Settings: filepath.Join(folder, "certportal.yaml"), Data: filepath.Join(folder, "data"),
		Service: &Service{Account: "certportal", UID: os.Getuid(), GID: os.Getgid(), DropIn: filepath.Join(folder, "unit.d", "setup.conf")},
		Check:   func(context.Context, *config.Settings, string) []portal.Finding { return nil },
	}
	for key, answer := range change {
		c.Given[key] = answer
	}
	return c
}

// TestDropIn gives the capability only to a service that needs it.
func TestDropIn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change map[string]string
		low    bool
	}{
		{"defaults of a service", nil, true},
		{"high ports", map[string]string{"listen": ":8443", "listen_http": ":8080"}, false},
		{"one low port", map[string]string{"listen": ":8443", "listen_http": ":80"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := answered(t, new(bytes.Buffer), tt.change)
			testkit.NoError(t, Run(t.Context(), c))
			text := string(testkit.Must(os.ReadFile(c.Service.DropIn))(t))
			if got := strings.Contains(text, "CAP_NET_BIND_SERVICE"); got != tt.low {
				t.Errorf("capability %v, want %v:\n%s", got, tt.low, text)
			}
			if want := "\nLoadCredential=ca-passphrase:" + filepath.Join(filepath.Dir(c.Settings), "ca-passphrase") + "\n"; !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
			limit := 1.5
			if tt.low {
				limit = 1.6 // the capability, and the users of the machine, among whom it counts
			}
			if level := exposure(t, text); level > limit {
				t.Errorf("systemd rates unit and drop-in %v, want %v at most", level, limit)
			}
			if s := testkit.Must(config.Load(c.Settings, nil))(t); s.CA.PassphraseFile != "" {
				t.Errorf("the settings name a passphrase that the account cannot read: %s", s.CA.PassphraseFile)
			}
		})
	}
}

// TestSetupFollowsNoLink: root would give away what the link of another account points to.
func TestSetupFollowsNoLink(t *testing.T) {
	c := answered(t, new(bytes.Buffer), nil)
	testkit.NoError(t, os.Symlink(t.TempDir(), c.Data))
	if err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "is a link") {
		t.Errorf("got %v", err)
	}
}

// TestACME writes the settings of an ACME server, and takes none without its terms.
func TestACME(t *testing.T) {
	change := map[string]string{"tls.acme.directory": "https://acme.example/directory", "tls.acme.contact": "pki@corp.example, it@corp.example"}
	var missing MissingAnswers
	if err := Run(t.Context(), answered(t, new(bytes.Buffer), change)); !errors.As(err, &missing) || !slices.Equal(missing.Flags, []string{"--acme-accept-terms"}) {
		t.Errorf("without its terms: %v", err)
	}
	change["tls.acme.accept_terms"] = "true"
	c := answered(t, new(bytes.Buffer), change)
	testkit.NoError(t, Run(t.Context(), c))
	got := testkit.Must(config.Load(c.Settings, nil))(t).TLS.ACME
	if got.Directory != change["tls.acme.directory"] || !got.AcceptTerms || len(got.Contact) != 2 {
		t.Errorf("got %+v", got)
	}
}

// exposure is what systemd-analyze says of the unit of the package with a drop-in.
func exposure(t *testing.T, dropIn string) float64 {
	t.Helper()
	if daemon.Program("systemd-analyze") == "" {
		daemon.Need(t, "systemd-analyze is not installed")
	}
	unit := testkit.Must(os.ReadFile("../../../../scripts/packaging/certportal.service"))(t)
	file := filepath.Join(t.TempDir(), "certportal.service")
	testkit.NoError(t, os.WriteFile(file, append(unit, "\n"+dropIn...), 0o600))
	out := testkit.Must(exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", file).Output())(t)
	level := regexp.MustCompile(`exposure level for certportal.service: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("no level in\n%s", out)
	}
	return testkit.Must(strconv.ParseFloat(string(level[1]), 64))(t)
}

// TestSetupNamesAFileThatTheServiceCannotRead: root, who runs setup, can read it.
func TestSetupNamesAFileThatTheServiceCannotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "database")
	testkit.NoError(t, os.WriteFile(file, []byte("postgres://portal@127.0.0.1/portal"), 0o600))
	c := answered(t, new(bytes.Buffer), map[string]string{"database_file": file})
	testkit.NoError(t, Run(t.Context(), c))

	testkit.NoError(t, os.Chmod(file, 0))
	c = answered(t, new(bytes.Buffer), map[string]string{"database_file": file})
	if os.Geteuid() == 0 {
		c.Service.UID, c.Service.GID = 65534, 65534
	}
	var wrong WrongAnswer
	if err := Run(t.Context(), c); !errors.As(err, &wrong) || wrong.Flag != "database-file" || !strings.Contains(wrong.Text, "chown certportal "+file) {
		t.Errorf("got %v", err)
	}
}

// TestFailedCheck writes nothing when a server does not answer, unless that is asked for.
func TestFailedCheck(t *testing.T) {
	var out bytes.Buffer
	c := answered(t, &out, nil)
	c.Check = func(_ context.Context, _ *config.Settings, part string) []portal.Finding {
		if part != "directory" {
			return nil
		}
		return []portal.Finding{{What: "directory", State: portal.FindingFailed, Text: "no answer"}}
	}
	if err := Run(t.Context(), c); !errors.Is(err, ErrStopped) || !strings.Contains(out.String(), "failed: directory: no answer") {
		t.Errorf("got %v\n%s", err, &out)
	}
	if _, err := os.Stat(c.Settings); err == nil {
		t.Error("the settings were written")
	}
	c.KeepFailed = true
	testkit.NoError(t, Run(t.Context(), c))
	testkit.Must(config.Load(c.Settings, nil))(t)
}
