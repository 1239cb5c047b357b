package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/autotls"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/templates"
)

// refusedOrder is what an ACME server said.
const refusedOrder = "the server refused the order: unauthorized"

// What is to do fits what was found, not only the check.
func TestDoctorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	made := &copied{site: &site{folder: folder}, data: filepath.Join(folder, "data"), environ: maps.Clone(fixture.FastCA())}
	made.set("DATA", made.data)
	made.set("CA_PASSPHRASE_FILE", made.file(t, "passphrase", "a passphrase of the keys"))
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"ca", "init"}, streams{strings.NewReader(""), &errs, &errs}, made.environ); code != exitDone {
		t.Fatal(errs.String())
	}
	remove := func(name string) func(*testing.T, *copied) {
		return func(t *testing.T, c *copied) { testkit.NoError(t, os.RemoveAll(c.path(name))) }
	}
	served := func(how func(*testing.T, *copied)) func(*testing.T, *copied) {
		return func(t *testing.T, c *copied) {
			testkit.NoError(t, os.WriteFile(c.path("last-start.json"), []byte("{}"), 0o600))
			how(t, c)
		}
	}
	for _, tt := range []struct {
		name, check string
		state       portal.FindingState
		want        string // begins what is to do
		how         func(*testing.T, *copied)
	}{
		{"database is gone", "database", portal.FindingFailed, "Stop the portal and restore the newest backup", served(remove("portal.db"))},
		{"database of zeros", "database", portal.FindingFailed, "Stop the portal and restore the newest backup", func(t *testing.T, c *copied) {
			testkit.NoError(t, os.WriteFile(c.path("portal.db"), make([]byte, 8192), 0o600))
			for _, name := range []string{"portal.db-wal", "portal.db-shm"} {
				remove(name)(t, c)
			}
		}},
		{"no database yet", "database", portal.FindingFailed, "The portal makes the database at its first start.", remove("portal.db")},
		{"a database server that is down", "database", portal.FindingFailed, "Nothing can be issued or blocked without it.", func(t *testing.T, c *copied) {
			c.set("DATABASE", "postgres://portal@"+freeAddress(t)+"/portal?sslmode=disable")
		}},
		{"authority is gone", "ca", portal.FindingFailed, "Restore the folder of the authority", served(remove("ca"))},
		{"key is gone", "ca", portal.FindingFailed, "Restore the folder of the authority", served(remove("ca/issuing.key"))},
		{"wrong passphrase", "ca", portal.FindingFailed, "If the key does not open, mend the passphrase", func(t *testing.T, c *copied) {
			c.set("CA_PASSPHRASE_FILE", c.file(t, "wrong", "another passphrase"))
		}},
		{"key that others read", "ca", portal.FindingSkipped, "", func(t *testing.T, c *copied) {
			testkit.NoError(t, os.Chmod(c.path("ca", "issuing.key"), 0o644))
		}},
		{"folder for lists is gone", "lists", portal.FindingFailed, "Create the folder or entry", func(_ *testing.T, c *copied) {
			c.set("REVOCATION_FOLDERS", c.path("gone"))
		}},
		{"records of an older version", "database", portal.FindingFailed, "The records are of an older version", func(t *testing.T, c *copied) {
			newest := filepath.Join(t.TempDir(), "portal.db")
			testkit.NoError(t, os.Rename(c.path("portal.db"), newest))
			fixture.CopyToOlder(t, newest, c.path("portal.db"), 20)
		}},
		{"records that were moved away", "database", portal.FindingFailed, "The records are in another database now.", func(t *testing.T, c *copied) {
			var out bytes.Buffer
			if code := run(t.Context(), []string{"migrate", "--to", "sqlite:" + c.path("new.db")}, streams{strings.NewReader(""), &out, &out}, c.environ); code != exitDone {
				t.Fatal(out.String())
			}
		}},
		{"orders by ACME that fail", "tls", portal.FindingFailed, "The portal orders this certificate itself", failingACME},
		{"before the first start", "tls", portal.FindingFailed, "The portal makes this certificate itself", func(*testing.T, *copied) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			c := &copied{site: &site{folder: folder}, data: filepath.Join(folder, "data"), environ: maps.Clone(made.environ)}
			if text, err := exec.Command("cp", "-a", made.data, c.data).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			c.set("DATA", c.data)
			tt.how(t, c)
			var out, errs bytes.Buffer
			run(t.Context(), []string{"doctor", "--json"}, streams{strings.NewReader(""), &out, &errs}, c.environ)
			var report doctor.Report
			testkit.NoError(t, json.Unmarshal(out.Bytes(), &report))
			for _, r := range report.Checks {
				if r.Name == tt.check && (r.State != tt.state || !strings.HasPrefix(r.Todo, tt.want) || tt.want == "" && r.Todo != "") {
					t.Errorf("%s, %q, want %s, %q\n%v", r.State, r.Todo, tt.state, tt.want, r.Findings)
				}
			}
		})
	}
}

// failingACME records an order that the server refused.
func failingACME(t *testing.T, c *copied) {
	t.Helper()
	const server, host = "https://acme.corp.example/directory", "certificates.corp.example"
	c.set("PUBLIC_URL", "https://"+host)
	c.set("TLS_ACME_DIRECTORY", server)
	c.set("TLS_ACME_ACCEPT_TERMS", "true")
	db := testkit.Must(store.Open(t.Context(), store.Config{URL: "sqlite:" + c.path("portal.db")}))(t)
	defer db.Close()
	id, now := autotls.ID(server, []string{host}), time.Now()
	testkit.NoError(t, db.LeaseACME(t.Context(), id, "a", now, now.Add(time.Minute)))
	testkit.NoError(t, db.FailACME(t.Context(), id, "a", autotls.Failure{Since: now, Text: refusedOrder, Tries: 3, Again: now.Add(time.Hour)}))
}

// The command, which opens the database while checks begin, shows why there is no certificate.
func TestDoctorShowsFailedOrders(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	c := &copied{site: &site{folder: t.TempDir()}, data: data, environ: maps.Clone(fixture.FastCA())}
	c.set("DATA", data)
	failingACME(t, c)
	var out bytes.Buffer
	run(t.Context(), []string{"doctor"}, streams{strings.NewReader(""), &out, &out}, c.environ)
	testkit.Contains(t, "the report", out.String(), "3 tries")
	testkit.Contains(t, "the report", out.String(), refusedOrder)
	if strings.Contains(out.String(), "has issued none yet") || strings.Contains(out.String(), "into the files of tls.certificate") {
		t.Error(out.String())
	}
}

// In the terminal findings stand above what is to do, on the page below it.
func TestToDoNamesNoPlace(t *testing.T) {
	t.Parallel()
	var words map[string]any
	testkit.NoError(t, json.Unmarshal(testkit.Must(templates.Files.ReadFile("locales/en.json"))(t), &words))
	for key, text := range words {
		if said, _ := text.(string); strings.HasPrefix(key, "admin.check.") && strings.Contains(key, ".todo") && (strings.Contains(said, "below") || strings.Contains(said, "above.")) {
			t.Errorf("%s: %q", key, said)
		}
	}
}
