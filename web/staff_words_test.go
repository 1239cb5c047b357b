package web_test

import (
	"bytes"
	"encoding/csv"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// picks are the check boxes of the rows.
func (a answer) picks() []string {
	var boxes []string
	a.node(func(n *html.Node) bool {
		if n.Data == "input" && attr(n, "type") == "checkbox" && attr(n, "name") == "pick" {
			boxes = append(boxes, attr(n, "value"))
		}
		return false
	})
	return boxes
}

// TestSelectionIsCalledWhatItIs: one, some and all are different words, the way back is the
// search, and no check mark is no "all".
func TestSelectionIsCalledWhatItIs(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 40)
	b := p.signedIn("ada", linux)
	const search = "/admin/certificates?sort=until&status=working"
	list := b.get(search)
	boxes, back := list.picks(), list.value("back")
	if back != search || len(boxes) < 3 {
		t.Fatalf("got %d boxes, and %q as the way back", len(boxes), back)
	}
	form := "/admin/orders/new?back=" + url.QueryEscape(back)
	for _, tt := range []struct {
		name, address, heading, not string
	}{
		{"one", form + "&pick=" + boxes[0], "Block the selected certificate?", "their number"},
		{"some", form + "&pick=" + boxes[0] + "&pick=" + boxes[1], "Block the 2 selected certificates?", "all certificates"},
		{"all", list.link("Block all that match…"), "Block all certificates that match?", "selected"},
	} {
		got := b.get(tt.address)
		if got.status != 200 || !strings.Contains(got.text(), tt.heading) || strings.Contains(got.text(), tt.not) {
			t.Errorf("%s: got %d: %s", tt.name, got.status, got.text())
		}
		if to := got.link("Do nothing and go back"); to != search {
			t.Errorf("%s: leads back to %q", tt.name, to)
		}
	}
	if got := b.get(form); got.status != 303 || got.location() != search {
		t.Errorf("without a check mark: got %d to %q", got.status, got.location())
	}
	for _, address := range []string{"https://evil.example/admin/certificates", "//evil.example/admin/certificates?status=working", "/logout", "%zz"} {
		got := b.get("/admin/orders/new?back=" + url.QueryEscape(address) + "&pick=" + boxes[0])
		if to := got.link("Do nothing and go back"); to != "/admin/certificates" {
			t.Errorf("%q leads back to %q", address, to)
		}
	}
}

// TestHelpdeskEventsNameTheDevice, also those that the log keeps under a serial, and after
// the device was removed.
func TestHelpdeskEventsNameTheDevice(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	anna := p.signedIn("anna", android)
	device := anna.enrol("Anna's tablet", "android")
	anna.get(hrefOf(anna.download(device)))
	anna.enrol("Another", "android")
	anna.post(device + "/finish")
	anna.post(device + "/remove")
	hedi := p.signedIn("hedi", linux)
	seen := map[string]int{}
	got := hedi.get(annaPage)
	got.node(func(n *html.Node) bool {
		if n.Data == "td" && attr(n, "data-label") == "What" {
			what, name, named := strings.Cut(nodeText(n), ": ")
			seen[what]++
			about := strings.Contains(what, "ertificate") || strings.Contains(what, "evice") || strings.Contains(what, "ile")
			if about && !named || named && name != "Anna's tablet" && name != "Another" {
				t.Errorf("the event %q names %q", what, name)
			}
		}
		return false
	})
	if len(seen) < 5 {
		t.Errorf("got the events %v: %s", seen, got.text())
	}
}

// TestHiddenEventsCanBeShown: who looked at the page is one click away.
func TestHiddenEventsCanBeShown(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	hedi := p.signedIn("hedi", linux)
	got := hedi.get(annaPage)
	all := got.link("Show also who opened this page")
	if all != annaPage+"?events=all" || strings.Contains(got.text(), "Staff looked at this page") {
		t.Fatalf("leads to %q: %s", all, got.text())
	}
	got = hedi.get(all)
	_, events, _ := strings.Cut(got.text(), "Last events")
	if !strings.Contains(events, "Staff looked at this page") || got.link("Without those who opened this page") != annaPage {
		t.Errorf("all events: %s", events)
	}
}

// TestCallBackNeedsANumber: the way to check a person is offered where the directory has a
// number to call.
func TestCallBackNeedsANumber(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	device := p.signedIn("anna", iPhone).enrol("Phone", "ios")
	hedi := p.signedIn("hedi", linux)
	for _, known := range []bool{false, true} {
		p.directory.set(nil, func(who *portal.Person) {
			if known {
				who.Phone = "+49 89 4711"
			}
		})
		for _, path := range []string{annaPage + "/code", annaPage + device + "/block"} {
			got := hedi.get(path)
			if offered := got.id("checked-called-back") != nil; offered != known {
				t.Errorf("%s, number known %v: offered %v", path, known, offered)
			}
			if says := strings.Contains(got.text(), "has no telephone number"); says == known {
				t.Errorf("%s, number known %v: says that there is none: %v", path, known, says)
			}
		}
	}
}

// TestExportSpeaksOfStatesAsThePages: the status of every row is a word of the pages.
func TestExportSpeaksOfStatesAsThePages(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 60)
	anna := p.signedIn("anna", iPhone)
	anna.enrol("Phone", "ios")
	anna.post(anna.enrol("Gone", "ios") + "/remove")
	b := p.signedIn("aud", linux)
	for what, least := range map[string]int{"certificates": 4, "devices": 2} {
		body, _ := bytes.CutPrefix(b.post("/admin/export/"+what).body, []byte("\ufeff"))
		rows := testkit.Must(csv.NewReader(bytes.NewReader(body)).ReadAll())(t)
		column, found := slices.Index(rows[0], "status"), map[string]bool{}
		for _, row := range rows[1:] {
			found[row[column]] = true
			removed := what == "devices" && row[column] == string(portal.StateRemoved)
			if !removed && !slices.Contains(portal.States(), portal.State(row[column])) {
				t.Errorf("%s: %q is no word of the pages", what, row[column])
			}
		}
		if len(found) < least {
			t.Errorf("%s: got the states %v: too few for a test", what, found)
		}
	}
}
