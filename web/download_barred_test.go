package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestA11_FileAfterTheAccountWasDisabled: the address of a file asks the directory once
// more. While that says no the file is closed, and nothing of it goes out; when it does
// not answer, or says yes again, the file is there.
func TestA11_FileAfterTheAccountWasDisabled(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	for name, change := range map[string]func(*portal.Person){
		"disabled": func(p *portal.Person) { p.Disabled = true }, "protected": func(p *portal.Person) { p.Protected = true },
		"not in the group": func(p *portal.Person) { p.MayEnroll = false }, "in doubt": func(p *portal.Person) { p.Conflict = portal.UPNTaken },
	} {
		f.directory.set(nil, change)
		f.wantBarred(t, name, f.href)
	}
	f.directory.set(portal.ErrNotFound, nil)
	f.wantBarred(t, "deleted", f.href)
	if got := f.entries(audit.PickupRead); got != 0 {
		t.Errorf("%d reads of a closed file", got)
	}
	f.directory.set(errors.New("dial tcp 192.0.2.1:636: i/o timeout"), nil)
	if got := f.anonymous.get(f.href); got.status != 200 {
		t.Errorf("directory down: got %d", got.status)
	}
	f.directory.set(&portal.UnreadableError{People: []portal.Unreadable{{Err: errors.New("no userAccountControl")}}}, nil)
	if got := f.anonymous.get(f.href); got.status != 200 {
		t.Errorf("entry that cannot be read: got %d", got.status)
	}
	f.directory.set(nil, nil)
	if got := f.anonymous.get(f.href); got.status != 200 {
		t.Errorf("switched on again: got %d", got.status)
	}
	// A read is counted once its last byte is out, which the client may see first.
	testkit.Eventually(t, "two reads of five left", func() bool { return f.readsLeft() == 2 })
}

// wantBarred asks for the file in every way there is.
func (f file) wantBarred(t *testing.T, name, href string) {
	t.Helper()
	for _, by := range []*browser{f.anonymous, f.owner} {
		got := by.get(href)
		if got.status != http.StatusGone || !strings.Contains(got.text(), "no longer lets this account have a certificate") ||
			got.header.Get("Content-Disposition") != "" {
			t.Errorf("%s: got %d %v: %s", name, got.status, got.header, got.text())
		}
		if got := by.do(http.MethodHead, href, nil); got.status != http.StatusGone {
			t.Errorf("%s: HEAD got %d", name, got.status)
		}
		if got := by.do(http.MethodGet, href, nil, "Range", "bytes=10-20"); got.status != http.StatusGone {
			t.Errorf("%s: range got %d", name, got.status)
		}
	}
}

// The profile that leads a phone to a certificate is closed as well.
func TestA11_ProfileAfterTheAccountWasDisabled(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	k.directory.set(nil, func(p *portal.Person) { p.Disabled = true })
	if got := k.browser(iPhone).get(k.href); got.status != http.StatusGone {
		t.Errorf("got %d, want 410", got.status)
	}
	if got := k.entries(audit.ChallengeRead); got != 0 {
		t.Errorf("%d reads of a closed profile", got)
	}
	k.directory.set(nil, nil)
	if got := k.browser(iPhone).get(k.href); got.status != 200 {
		t.Errorf("switched on again: got %d", got.status)
	}
}
