package config

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// dataFolder is a data folder as the portal makes it, in parts.
func dataFolder(t *testing.T) *Settings {
	t.Helper()
	s := Defaults()
	s.Data = filepath.Join(t.TempDir(), "data")
	testkit.NoError(t, os.MkdirAll(s.Path("ca"), 0o700))
	for name, mode := range map[string]fs.FileMode{
		"portal.db": 0o600, "portal.db-wal": 0o600, "portal.lock": 0o600, "revocation.journal": 0o600, "ca-passphrase": 0o600,
		"ca/root.key": 0o600, "ca/issuing.key": 0o600, "ca/root.crt": 0o644, "ca/issuing.crt": 0o644, "tls.pem": 0o644, "tls.key": 0o640,
	} {
		testkit.NoError(t, os.WriteFile(s.Path(name), []byte("x"), mode))
	}
	s.TLS.Certificate, s.TLS.Key = s.Path("tls.pem"), s.Path("tls.key")
	return &s
}

func TestA13_FilesThatOthersCanChange(t *testing.T) {
	mode := func(name string, m fs.FileMode) func(*testing.T, *Settings) {
		return func(t *testing.T, s *Settings) { testkit.NoError(t, os.Chmod(s.Path(name), m)) }
	}
	link := func(name string) func(*testing.T, *Settings) {
		return func(t *testing.T, s *Settings) {
			testkit.NoError(t, os.Rename(s.Path(name), s.Path("elsewhere")))
			testkit.NoError(t, os.Symlink(s.Path("elsewhere"), s.Path(name)))
		}
	}
	tests := []struct {
		name   string
		change func(*testing.T, *Settings)
		want   string // in the error; empty for none
	}{
		{"as it is made", func(*testing.T, *Settings) {}, ""},
		{"no folder yet", func(t *testing.T, s *Settings) { s.Data = filepath.Join(t.TempDir(), "none") }, ""},
		{"folder that others list", mode(".", 0o755), ""},
		{"folder that all write", mode(".", 0o777), "can be changed by every account"},
		{"folder of the CA that all write", mode("ca", 0o703), "can be changed by every account"},
		{"database that others read", mode("portal.db", 0o644), ""},
		{"database that all write", mode("portal.db", 0o666), "portal.db can be changed by every account: chmod go-w "},
		{"log of the database", mode("portal.db-wal", 0o602), "portal.db-wal can be changed by every account: chmod go-w "},
		{"journal", mode("revocation.journal", 0o646), "can be changed by every account"},
		{"passphrase that others read", mode("ca-passphrase", 0o604), "chmod 600 "},
		{"passphrase that the group reads", mode("ca-passphrase", 0o640), "chmod 600 "},
		{"issuing key", mode("ca/issuing.key", 0o644), "chmod 600 "},
		{"certificate of the root", mode("ca/root.crt", 0o666), "can be changed by every account"},
		{"TLS key that others read", mode("tls.key", 0o644), "tls.key: "},
		{"TLS key that the group reads", mode("tls.key", 0o640), ""},
		{"TLS certificate that all write", mode("tls.pem", 0o666), "tls.certificate: "},
		{"link for the database", link("portal.db"), "is a symbolic link"},
		{"link for the passphrase", link("ca-passphrase"), "is a symbolic link"},
		{"link for the issuing key", link("ca/issuing.key"), "is a symbolic link"},
		{"link for the journal", link("revocation.journal"), "is a symbolic link"},
		{"link for the folder", func(t *testing.T, s *Settings) {
			testkit.NoError(t, os.Symlink(s.Data, s.Data+"-link"))
			s.Data += "-link"
		}, ""},
		{"link for the TLS key", link("tls.key"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := dataFolder(t)
			tt.change(t, s)
			err := s.CheckPermissions()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if all := s.CheckFiles(); err != nil && !strings.Contains(errors.Join(all).Error(), tt.want) {
				t.Errorf("config check: got %v", all)
			}
			if err != nil {
				repair(t, err)
				if again := s.CheckPermissions(); again != nil {
					t.Errorf("after its own command: %v", again)
				}
			}
		})
	}
}

func TestA13_DatabaseThatOthersRead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		folder fs.FileMode
		file   string
		mode   fs.FileMode
		want   bool
	}{
		{"as it is made", 0o700, "portal.db", 0o600, false},
		{"database", 0o755, "portal.db", 0o644, true},
		{"log of the database", 0o755, "portal.db-wal", 0o604, true},
		{"its index", 0o711, "portal.db-shm", 0o644, true},
		{"a group for backups", 0o750, "portal.db", 0o640, false},
		{"in a folder that is closed", 0o700, "portal.db", 0o644, false},
		{"a list of the folder alone", 0o744, "portal.db", 0o644, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := dataFolder(t)
			testkit.NoError(t, os.WriteFile(s.Path(tt.file), []byte("x"), 0o600))
			testkit.NoError(t, os.Chmod(s.Path(tt.file), tt.mode))
			testkit.NoError(t, os.Chmod(s.Data, tt.folder))
			got := s.ReadableRecords()
			if tt.want && (len(got) != 1 || got[0] != s.Path(tt.file)) || !tt.want && len(got) != 0 {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			testkit.NoError(t, s.CheckPermissions()) // the portal goes on
		})
	}
}

// repair runs the command that an error names.
func repair(t *testing.T, err error) {
	t.Helper()
	text := strings.SplitN(err.Error(), "\n", 2)[0]
	for _, verb := range []string{"chmod ", "cp "} {
		if i := strings.Index(text, ": "+verb); i >= 0 {
			out, err := exec.CommandContext(t.Context(), "sh", "-c", text[i+2:]).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", text[i+2:], err, out)
			}
			return
		}
	}
	t.Fatalf("no command in %q", text)
}

// TestA13_FolderOfAnotherAccount asks as an ordinary account: root may own the folder,
// another account may not.
func TestA13_FolderOfAnotherAccount(t *testing.T) {
	const me, other = 1000, 1001
	for _, tt := range []struct {
		name           string
		account, owner int
		inGroup        bool
		mode           fs.FileMode
		want           string
	}{
		{"own", me, me, true, 0o700, ""},
		{"root's, by its group, as for containers", me, 0, true, 0o775, ""},
		{"root's, of a group the account is not in", me, 0, false, 0o775, "chmod g-w"},
		{"own, group may write", me, me, true, 0o770, "chmod g-w"},
		{"another account's", me, other, true, 0o700, "chown -R 1000 "},
		{"root looks at the account's", 0, me, false, 0o700, ""},
		{"root looks, all may write", 0, me, false, 0o777, "chmod go-w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := judge("/data", standing{account: tt.account, owner: tt.owner, inGroup: tt.inGroup, mode: fs.ModeDir | tt.mode}, access{readers: true}, 0o700)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestA13_SettingsFileThatOthersCanChange(t *testing.T) {
	const secret = "database: postgres://portal:secret@db.example/portal\n"
	for _, tt := range []struct {
		name, text string
		mode       fs.FileMode
		want       string
	}{
		{"readable", "organization: Corp\n", 0o644, ""},
		{"all may write", "organization: Corp\n", 0o646, "chmod o-w"},
		{"password, private", secret, 0o600, ""},
		{"password, group reads", secret, 0o640, ""},
		{"password, all read", secret, 0o644, "chmod o-r"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "certportal.yaml")
			testkit.NoError(t, os.WriteFile(file, []byte(tt.text), 0o600))
			testkit.NoError(t, os.Chmod(file, tt.mode))
			_, err := Load(file, nil)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret@") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
}

// TestA13_UpstreamFilesThatOthersChange: an account of the machine that can change which host
// may confirm revocations, or which CA counts, is reported; the host gets no answer then.
func TestA13_UpstreamFilesThatOthersChange(t *testing.T) {
	for key, set := range map[string]func(u *UpstreamSettings, file string){
		"chain":               func(u *UpstreamSettings, file string) { u.Chain = file },
		"server_ca_file":      func(u *UpstreamSettings, file string) { u.ServerCAFile = file },
		"certificate":         func(u *UpstreamSettings, file string) { u.Certificate = file },
		"agent_certificate":   func(u *UpstreamSettings, file string) { u.AgentCertificate = file },
		"revoker_certificate": func(u *UpstreamSettings, file string) { u.RevokerCertificate = file },
	} {
		s := dataFolder(t)
		file := filepath.Join(t.TempDir(), "company.pem")
		testkit.NoError(t, os.WriteFile(file, []byte("x"), 0o644))
		s.Upstreams = []UpstreamSettings{{Name: "other"}, {Name: "company"}}
		set(&s.Upstreams[1], file)
		testkit.NoError(t, s.CheckPermissions())
		for mode, want := range map[fs.FileMode]string{0o666: "can be changed by every account", 0o664: "can be changed by its group"} {
			testkit.NoError(t, os.Chmod(file, mode))
			if err := s.CheckPermissions(); err == nil || !strings.Contains(err.Error(), "upstreams[1]."+key+": ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with mode %o: %v", key, mode, err)
			}
			if key != "revoker_certificate" {
				continue
			}
			if certs, err := s.Upstreams[1].ReadRevoker(); len(certs) > 0 || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("read with mode %o: %v", mode, err)
			}
		}
	}
}
