package web_test

import (
	"strings"
	"testing"
)

// Each thing that a person does to a device ends with a sentence that it is done, which an
// address alone does not bring about.
func TestJourneysEndWithASentence(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	anna, ben := p.signedIn("anna", android), p.signedIn("ben", android)
	device, other := anna.enrol("Phone", "android"), ben.enrol("Tablet", "android")
	said := func(b *browser, path string) string {
		if n := b.get(path).id("finished"); n != nil {
			return nodeText(n)
		}
		return ""
	}
	removed := "/?removed=" + strings.TrimPrefix(device, "/devices/")
	for _, path := range []string{removed, "/?removed=" + strings.TrimPrefix(other, "/devices/"), "/?removed=x", "/?removed=%3Cb%3E",
		device + "?done=removed", device + "?done=<b>"} {
		if got := said(anna, path); got != "" {
			t.Errorf("%s says %q", path, got)
		}
	}
	if got := said(anna, anna.post(device+"/rename", "name", "Fold").location()); !strings.HasPrefix(got, "Done. The device is now called Fold.") {
		t.Errorf("renaming ends with %q", got)
	}
	in := anna.post(device + "/remove")
	if got := said(anna, in.location()); in.location() != removed || got != "Done. Fold is removed, and its certificates do not work any more." {
		t.Errorf("removing ends with %q", got)
	}
	if got := said(ben, removed); got != "" {
		t.Errorf("another person reads %q", got)
	}
	if got := said(anna, device+"?done=renamed"); got != "" {
		t.Errorf("a removed device says %q", got)
	}
}

func TestRenewalEndsWithASentence(t *testing.T) {
	t.Parallel()
	f := aged(t, "android", 20)
	finished := func(path string) string {
		if n := f.owner.get(path).id("finished"); n != nil {
			return nodeText(n)
		}
		return ""
	}
	f.owner.post(f.device+"/renew", "request", "one")
	href, _ := f.owner.download(f.device)
	f.anonymous.get(href)
	if got := finished(f.device + "?done=renewed"); got != "" {
		t.Errorf("while the old certificate works: %q", got)
	}
	got := f.owner.post(f.device + "/finish")
	if said := finished(got.location() + "&lang=en"); !strings.HasPrefix(said, "Done. ") || !strings.HasSuffix(said, " works, with its newest certificate alone.") {
		t.Errorf("%s ends with %q", got.location(), said)
	}
}
