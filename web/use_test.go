package web_test

import (
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestWhatThePhoneDid: downloads, the last test, the last question of a server and the last
// refusal are on the page of the helpdesk and on those of administrators, and a question
// does not make a certificate one that works.
func TestWhatThePhoneDid(t *testing.T) {
	t.Parallel()
	f := newChecked(t)
	serial := f.certificate().Serial.String()
	f.add("ada", "Ada Admin", "Ada", portal.Admin)
	pages := map[string]*browser{annaPage: f.signedIn("hedi", linux)}
	admin := f.signedIn("ada", linux)
	pages["/admin/certificates/"+serial], pages[strings.Replace(f.device, "/devices/", "/admin/devices/", 1)] = admin, admin
	want := func(when string, words ...string) {
		t.Helper()
		for path, by := range pages {
			got := by.get(path + "?lang=en").text()
			for _, word := range words {
				if word, missing := strings.CutPrefix(word, "no "); strings.Contains(got, word) == missing {
					t.Errorf("%s, %s, %q: %s", when, path, word, got)
				}
			}
		}
	}
	want("at first", "Downloaded on22 November 2026", "Last testNot tested yet", "no A server last asked", "no times", "no Last refusal", "no Download refused")

	// The questions go to the store, as the responder writes them every minute.
	leaf := testkit.Must(x509.ParseCertificate(f.certificate().DER))(t)
	f.responder.Respond(t.Context(), f.question(leaf))
	if err := f.responder.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for f.readsLeft() > 0 {
		before := f.readsLeft()
		f.anonymous.get(f.href)
		testkit.Eventually(t, "one read less", func() bool { return f.readsLeft() < before })
	}
	for range 3 {
		if got := f.anonymous.get(f.href); got.status != http.StatusGone {
			t.Fatalf("a sixth download: %d", got.status)
		}
		f.anonymous.do(http.MethodHead, f.href, nil)
	}
	want("after five downloads", "Downloaded 5 times, last on 22 November 2026", "A server last asked about it22 November 2026",
		"Last testNot tested yet", "Download refused", "as often as allowed")
	if c := f.certificate(); !c.Works.IsZero() {
		t.Errorf("a question made it work at %v", c.Works)
	}
	if got := f.entries(audit.FileRefused); got != 3 {
		t.Errorf("%d refused downloads are recorded, want 3", got)
	}
	f.wantVerdict(&f.pair, f.path(), "works")
	want("after the test", "Last testIt works, 22 November 2026")
}

// TestA17_RefusedDownloadsAreBounded: the address of a closed file, asked for again and
// again, does not fill the audit log.
func TestA17_RefusedDownloadsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	f.clock.Advance(enroll.PasswordLife)
	for range 70 {
		f.anonymous.get(f.href)
	}
	if got := f.entries(audit.FileRefused); got == 0 || got > 50 {
		t.Errorf("%d entries", got)
	}
	entries := testkit.Must(f.db.EntriesAbout(t.Context(), "id-of-anna", 1, audit.FileRefused))(t)
	if e := entries[0]; e.Detail["reason"] != "file-over" || e.Object != f.certificate().Serial.String() || e.Actor != "pickup" {
		t.Errorf("the entry is %+v", e)
	}
	if !slices.Contains(audit.Actions(), audit.FileRefused) {
		t.Error("the action is not listed")
	}
}
