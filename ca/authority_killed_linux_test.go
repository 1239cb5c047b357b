package ca_test

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"certportal/ca"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// killedCalls are the calls that change a name in a folder, and in long tests each flush.
func killedCalls(t *testing.T) []string {
	t.Helper()
	calls := []string{"renameat", "linkat", "unlinkat"}
	if testkit.Times(t, 1) > 1 {
		calls = append(calls, "fsync")
	}
	return calls
}

// TestF9_KilledAtEachStepOfARequest: no request is pending, or a whole one. A CA beside it
// is untouched.
func TestF9_KilledAtEachStepOfARequest(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		addNewRequest(t, dir, "issuing-rsa", "")
		return
	}
	h := ca.FixtureHierarchy(t, "ec")
	daemon.KillAtEachStep(t, killedCalls(t), func(dir string) {
		if _, err := ca.CreateFolder(dir, h, passphrase); err != nil {
			t.Fatal(err)
		}
	}, func(dir string, done bool) {
		f, err := ca.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		requests, err := f.Requests()
		if err != nil || done && len(requests) != 1 {
			t.Fatalf("requests: %v, %v", requests, err)
		}
		for _, r := range requests {
			if _, err := ca.RequestKey(dir, r, passphrase); err != nil {
				t.Error(err)
			}
		}
		if len(requests) == 0 {
			addNewRequest(t, dir, "issuing-rsa", "")
		}
		if requests, err := f.Requests(); err != nil || len(requests) != 1 || requests[0].Name != "issuing-2" {
			t.Errorf("afterwards: %v, %v", requests, err)
		}
	})
}

// TestF9_KilledAtEachStepOfAnImport imports the second of two requests as the first CA,
// which takes the most steps. The request stays pending until the CA is whole, the other
// request stays, and a second import brings what the first did not.
func TestF9_KilledAtEachStepOfAnImport(t *testing.T) {
	if dir, ok := daemon.KilledFolder(t); ok {
		if err := importKept(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	root := ca.FixtureRoot(t)
	policy := root.Below(t, "Policy CA")
	key := ca.FixtureKey(t, "issuing-rsa")
	cert := policy.Certify(t, "Phones CA", key.Public())
	daemon.KillAtEachStep(t, killedCalls(t), func(dir string) {
		addNewRequest(t, dir, "user-ec", "")
		addNewRequest(t, dir, "issuing-rsa", "")
		ca.FixtureFile(t, filepath.Dir(dir), "given.pem", ca.PEM(cert, policy.Certificate, root.Certificate))
	}, func(dir string, done bool) {
		f, err := ca.OpenFolder(dir)
		if err != nil && (done || !errors.Is(err, ca.ErrRequested)) {
			t.Fatalf("done %t: %v", done, err)
		}
		if err != nil {
			if err := importKept(dir); err != nil {
				t.Fatalf("again: %v", err)
			}
			if f, err = ca.OpenFolder(dir); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.IssuingKey(passphrase); err != nil || !f.Issuing().Equal(cert) || f.Authorities()[0].Name != "issuing" {
			t.Errorf("issuing: %v, %v", f.Authorities(), err)
		}
		requests, err := f.Requests()
		if err != nil || len(requests) == 0 {
			t.Errorf("the other request is gone: %v", err)
		}
		for _, r := range requests {
			if _, err := ca.RequestKey(dir, r, passphrase); err != nil {
				t.Errorf("other request: %v", err)
			}
		}
	})
}

// importKept imports what the parent process kept beside the folder.
func importKept(dir string) error {
	given, err := ca.ReadBundleFile(filepath.Join(filepath.Dir(dir), "given.pem"))
	if err != nil {
		return err
	}
	requests, err := ca.PendingRequests(dir)
	if err != nil {
		return err
	}
	p, _ := ca.CheckAuthority(ca.ImportConfig{Given: given, Requests: requests, Now: ca.FixtureNow()})
	if p.Certificate == nil {
		return fs.ErrNotExist
	}
	_, err = ca.AddAuthority(dir, p)
	return err
}

// The first authority takes the first name, whichever request it was.
func TestAddAuthority(t *testing.T) {
	root := ca.FixtureRoot(t)
	key, second := ca.FixtureKey(t, "issuing-rsa"), ca.FixtureKey(t, "user-ec")
	dir := t.TempDir()
	addNewRequest(t, dir, "user-ec", "")
	addNewRequest(t, dir, "issuing-rsa", "")
	add := func(cert *x509.Certificate) (string, error) {
		requests, err := ca.PendingRequests(dir)
		if err != nil {
			t.Fatal(err)
		}
		p, _ := ca.CheckAuthority(ca.ImportConfig{
			Given: []*x509.Certificate{cert}, Chain: []*x509.Certificate{root.Certificate}, Requests: requests, Now: ca.FixtureNow(),
		})
		return ca.AddAuthority(dir, p)
	}
	cert := root.Certify(t, "Phones CA", key.Public())
	if name, err := add(cert); err != nil || name != "issuing" {
		t.Fatalf("first: %s, %v", name, err)
	}
	if _, err := add(cert); err == nil {
		t.Error("it was imported twice")
	}
	if name, err := add(root.Certify(t, "Phones CA 2", second.Public())); err != nil || name != "issuing-3" {
		t.Errorf("second: %s, %v", name, err)
	}
	f, err := ca.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if list := f.Authorities(); len(list) != 2 || !list[0].Certificate.Equal(cert) {
		t.Errorf("authorities: %v", list)
	}
	if requests, err := f.Requests(); err != nil || len(requests) != 0 {
		t.Errorf("requests: %v, %v", requests, err)
	}
	for _, a := range f.Authorities() {
		if _, err := f.Key(a.Name, passphrase); err != nil {
			t.Error(err)
		}
	}
}
