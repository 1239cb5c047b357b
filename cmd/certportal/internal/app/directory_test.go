package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit/fixture"
)

// TestF7_StartsWithoutItsDirectory: CRLs must be served in any state of the
// directory does.
func TestF7_StartsWithoutItsDirectory(t *testing.T) {
	environ := fixture.FastCA()
	for name, value := range map[string]string{
		"KIND": config.KindActiveDirectory, "DOMAIN": "corp.example", "SERVERS": "ldaps://127.0.0.1:1", "USER": "reader@corp.example",
	} {
		environ["CERTPORTAL_DIRECTORY_"+name] = value
	}
	p, err := openWith(t, t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.lists.CRL(localca.IssuingName); !ok {
		t.Error("no revocation list")
	}
	if p.stayBelowLock(t.Context()) {
		t.Error("the lockout policy counts as read")
	}
	_, err = p.SignIn.Authenticate(t.Context(), "anna", "some password", portal.Actor{Address: "192.0.2.1"})
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
		t.Errorf("Authenticate: %v, want an outage of the directory", err)
	}
}

// TestA8_FollowsTheDirectorysLock reads a hair trigger from the domain and stays
// below it.
func TestA8_FollowsTheDirectorysLock(t *testing.T) {
	dc := samba.Start(t)
	dc.Modify(t, samba.Base, map[string][]string{"lockoutThreshold": {"2"}})
	dc.AddUser(t, samba.User{Login: "anna"})
	p, err := openWith(t, t.TempDir(), fixture.AtDomain(t, dc))
	if err != nil {
		t.Fatal(err)
	}
	if !p.stayBelowLock(t.Context()) {
		t.Fatal("the domain told no policy")
	}
	_, err = p.SignIn.Authenticate(t.Context(), "anna", "guess", portal.Actor{})
	var wrong *signin.Wrong
	if want := (signin.Wrong{Pause: 30 * time.Minute}); !errors.As(err, &wrong) || *wrong != want {
		t.Errorf("first guess: %v, want %+v", err, want)
	}
}

// The check and "config check" name the files of this portal, until the forest has its CA.
func TestPublishedInTheForest(t *testing.T) {
	dc := samba.Start(t)
	environ := fixture.AtDomain(t, dc)
	environ["CERTPORTAL_PUBLIC_HTTP_URL"] = "http://pki.corp.example"
	p, err := openWith(t, t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	check := func() []portal.Finding {
		for _, c := range p.doctor.Checks() {
			if c.Name == "ntauth" {
				return c.Run(t.Context())
			}
		}
		t.Fatal("there is no check of NTAuth")
		return nil
	}
	for what, found := range map[string][]portal.Finding{"check": check(), "config check": publishedFindings(t.Context(), p.Settings, p.ldap)} {
		if len(found) != 3 {
			t.Fatalf("%s: got %v", what, found)
		}
		for i, words := range []string{"-f issuing.cer NTAuthCA (the file is at http://pki.corp.example/ca/issuing.cer)", "-f root.cer RootCA (the file is at http://pki.corp.example/ca/root.cer)", "-f issuing.cer SubCA"} {
			if found[i].State != portal.FindingWarning || !strings.Contains(found[i].Text, words) {
				t.Errorf("%s: got %v, want %q", what, found[i], words)
			}
		}
	}
	folder := p.CA.Folder
	dc.AddAuthority(t, "CN=NTAuthCertificates", folder.Issuing().Raw)
	dc.AddAuthority(t, "CN=Root,CN=Certification Authorities", folder.Root().Raw)
	dc.AddAuthority(t, "CN=Issuing,CN=AIA", folder.Issuing().Raw)
	for _, f := range check() {
		if f.State != portal.FindingOK {
			t.Errorf("published: got %v", f)
		}
	}
}
