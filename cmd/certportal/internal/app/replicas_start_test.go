package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"certportal/ca"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// onPostgres gives the settings of replicas on one empty PostgreSQL.
func onPostgres(t *testing.T) map[string]string {
	t.Helper()
	var server pgtest.Server
	t.Cleanup(server.Stop)
	environ := fixture.FastCA()
	environ["CERTPORTAL_DATABASE"] = server.Database(t)
	return environ
}

// copyCA copies CA and passphrase of one data folder to another, as an operator does.
func copyCA(t *testing.T, from, to string) {
	t.Helper()
	testkit.NoError(t, os.CopyFS(filepath.Join(to, "ca"), os.DirFS(filepath.Join(from, "ca"))))
	chmodKeys(t, to)
	const file = "ca-passphrase"
	testkit.NoError(t, os.WriteFile(filepath.Join(to, file), testkit.Must(os.ReadFile(filepath.Join(from, file)))(t), 0o600))
}

// Three portals that start together on an empty database make one CA. The others refuse to
// start, leave nothing behind, and start once they have its folder.
func TestF18_ReplicasThatStartTogetherHaveOneCA(t *testing.T) {
	environ := onPostgres(t)
	folders := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	portals, errs := make([]*App, len(folders)), make([]error, len(folders))
	var starting sync.WaitGroup
	for n, data := range folders {
		starting.Go(func() { portals[n], errs[n] = openWith(t, data, environ) })
	}
	starting.Wait()
	made := ""
	for n, err := range errs {
		if err == nil && made == "" {
			made = folders[n]
			continue
		}
		if err == nil {
			t.Fatal("two portals have a CA of their own")
		}
		testkit.Contains(t, "the refusal", err.Error(), "copy-from here")
		for _, name := range []string{"ca", "ca.new", "ca-passphrase"} {
			if _, err := os.Lstat(filepath.Join(folders[n], name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", name, err)
			}
		}
	}
	if made == "" {
		t.Fatal(errs)
	}
	var root string
	for n, data := range folders {
		if data != made {
			copyCA(t, made, data)
			portals[n] = testkit.Must(openWith(t, data, environ))(t)
		}
		testkit.NoError(t, portals[n].CA.Ready())
		if of := ca.Fingerprint(portals[n].CA.Folder.Root()); root == "" {
			root = of
		} else {
			testkit.Equal(t, "root", of, root)
		}
	}
}

// A replica with the folder of another CA does not start, whether the records know that one
// or not.
func TestReplicaWithAnotherCAIsRefused(t *testing.T) {
	environ := onPostgres(t)
	first := testkit.Must(openWith(t, t.TempDir(), environ))(t)
	other := t.TempDir()
	foreign := testkit.Must(open(t, other))(t) // on its own SQLite
	created := testkit.Must(foreign.DB.Entries(t.Context(), 0, 1))(t)[0]
	testkit.NoError(t, foreign.Close())
	_, err := openWith(t, other, environ)
	if err == nil {
		t.Fatal("a replica with another CA started")
	}
	testkit.Contains(t, "the refusal", err.Error(), "is not that of the records: copy the folder from another replica")
	// Databases from before have several entries ca.created.
	testkit.NoError(t, first.DB.Note(t.Context(), created))
	if _, err = openWith(t, other, environ); err == nil {
		t.Fatal("a replica whose CA is recorded and not the one that issues started")
	}
	testkit.Contains(t, "the refusal", err.Error(), "is not that of the records: copy the folder from another replica")
}

// Replicas that have the CA already start together for the first time.
func TestReplicasThatStartTogetherWithTheCA(t *testing.T) {
	environ := onPostgres(t)
	folders := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	first := testkit.Must(openWith(t, folders[0], environ))(t)
	testkit.NoError(t, first.Close())
	for _, data := range folders[1:] {
		copyCA(t, folders[0], data)
	}
	errs := make([]error, len(folders))
	var starting sync.WaitGroup
	for n, data := range folders {
		starting.Go(func() {
			p, err := openWith(t, data, environ)
			if err == nil {
				err = p.DB.Probe(context.WithoutCancel(t.Context()))
			}
			errs[n] = err
		})
	}
	starting.Wait()
	testkit.NoError(t, errors.Join(errs...))
}
