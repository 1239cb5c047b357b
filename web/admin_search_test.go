package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// TestSearchBoxKnowsWhatItIsGiven: one box finds by name, UPN, mail, device and serial, and
// the reader can say that it is something else.
func TestSearchBoxKnowsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.signedIn("anna", iPhone).enrol("Galaxy", "android")
	p.signedIn("ben", iPhone).enrol("Anna's old phone", "ios")
	b := p.signedIn("aud", linux)
	serial := b.get("/admin/certificates?person=anna").serials()[0]
	for typed, want := range map[string]string{
		"Muster": "person", "anna m": "person", "ANNA@example.com": "person", "galax": "device",
		strings.ToUpper(serial[:4]) + ":" + serial[4:]: "serial", "0x" + serial[:10]: "serial", "of no one": "person",
	} {
		got := b.get("/admin/certificates?q=" + url.QueryEscape(typed))
		here := got.node(func(n *html.Node) bool {
			return n.Data == "a" && attr(n, "aria-current") == "true" && strings.HasPrefix(attr(n, "href"), "/admin/certificates?"+want+"=")
		})
		if got.status != 200 || here == nil || got.value("q") != typed {
			t.Errorf("%q: got %d, not taken for a %s: %s", typed, got.status, want, got.text())
		}
		if rows := len(got.serials()); want != "device" && typed != "of no one" && rows != 1 {
			t.Errorf("%q: got %d rows, want 1", typed, rows)
		}
	}
	got := b.get("/admin/certificates?q=anna")
	if !strings.Contains(got.text(), "1 hit") || got.link("a device") != "/admin/certificates?device=anna" {
		t.Errorf("cannot be changed: %s", got.text())
	}
	if rows := b.get(got.link("a device")).serials(); len(rows) != 1 || rows[0] == serial {
		t.Errorf("as a device: got %v", rows)
	}
	if got := b.get("/admin/devices?q=galaxy"); !strings.Contains(got.text(), "1 hit") || got.link("Galaxy") == "" {
		t.Errorf("devices: %s", got.text())
	}
	if got := b.get("/admin/certificates?q=" + strings.Repeat("x", 300)); got.status != 422 || got.id("q-error") == nil {
		t.Errorf("a text that is too long: got %d: %s", got.status, got.text())
	}
}

// TestListsAreSorted: heads of columns with an order are links, and say which it is.
func TestListsAreSorted(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 200)
	b := p.signedIn("aud", linux)
	got := b.get("/admin/certificates?status=working")
	up := got.link("Valid until")
	if up != "/admin/certificates?sort=until&status=working" {
		t.Fatalf("the head leads to %q", up)
	}
	got = b.get(up)
	head := got.node(func(n *html.Node) bool { return n.Data == "th" && attr(n, "aria-sort") == "ascending" })
	if head == nil || !strings.HasPrefix(nodeText(head), "Valid until") || got.link("Valid until ▲") != "/admin/certificates?sort=-until&status=working" {
		t.Errorf("the list does not say its order: %s", got.text())
	}
	if first := got.node(func(n *html.Node) bool { return n.Data == "nav" && strings.Contains(nodeText(n), "Next page") }); first == nil {
		t.Error("there is one page only")
	}
	if got := b.get("/admin/certificates?person=an&sort=until"); got.link("Valid until") != "" || got.link("Valid until ▲") != "" {
		t.Error("an order without an index is offered")
	}
	if got := b.get("/admin/certificates?sort=upside-down"); got.status != 422 {
		t.Errorf("an order that there is not: got %d", got.status)
	}
	if got := b.get("/admin/devices?sort=device"); got.status != 200 || got.link("Device ▲") != "/admin/devices?sort=-device" {
		t.Errorf("devices: got %d: %s", got.status, got.link("Device ▲"))
	}
	if got := b.get("/admin/certificates?status=working"); got.link("Blocked") != "/admin/certificates?status=blocked" {
		t.Errorf("no other status can be chosen: %q", got.link("Blocked"))
	}
}

// TestBlockSelected: exactly the selected certificates end, after a confirmation that
// counts them.
func TestBlockSelected(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 40)
	b := p.signedIn("ada", linux)
	list := b.get("/admin/certificates?status=working")
	var boxes []string
	list.node(func(n *html.Node) bool {
		if n.Data == "input" && attr(n, "type") == "checkbox" && attr(n, "name") == "pick" && attr(n, "aria-label") != "" {
			boxes = append(boxes, attr(n, "value"))
		}
		return false
	})
	if len(boxes) < 3 || len(boxes) != len(list.serials()) {
		t.Fatalf("got %d boxes for %d rows", len(boxes), len(list.serials()))
	}
	p.clock.Advance(11 * time.Minute)
	asked := b.get("/admin/orders/new?pick=" + boxes[0] + "&pick=" + boxes[2])
	confirm := b.signInAt(asked.location(), "ada")
	form := b.get(confirm.location())
	if form.status != 200 || !strings.Contains(form.text(), "Selected certificates: 2") {
		t.Fatalf("the selection is lost: got %d: %s", form.status, form.text())
	}
	made := b.post("/admin/orders", "pick", form.value("pick"))
	if made.status != 303 {
		t.Fatalf("got %d: %s", made.status, made.text())
	}
	if err := p.admin.RunBulks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.post(made.location()+"/confirm", "cause", "left", "comment", "leavers", "count", "2"); got.status != 303 {
		t.Fatalf("confirming: got %d: %s", got.status, got.text())
	}
	if err := p.admin.RunBulks(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, serial := range boxes {
		ended := strings.Contains(b.get("/admin/certificates/"+serial).text(), "CRLReason")
		if want := i == 0 || i == 2; ended != want {
			t.Errorf("certificate %d ended: %v, want %v", i, ended, want)
		}
	}
	if got := b.get("/admin/orders/new?pick=x.y"); got.status != 303 || got.location() != "/admin/certificates" {
		t.Errorf("serials that are none: got %d to %q", got.status, got.location())
	}
	if got := p.signedIn("aud", linux).get("/admin/certificates?status=working"); got.id("pick") != nil {
		t.Error("an auditor can select")
	}
}

// TestAuditLogFindsByPartOfAName: one person of the name is meant, of several the reader
// chooses.
func TestAuditLogFindsByPartOfAName(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.add("annika", "Annika Muster", "Annika")
	p.add("trick", "Operator Huber", "Olga")
	for _, login := range []string{"anna", "annika", "trick"} {
		p.signedIn(login, iPhone).enrol("Phone", "ios")
	}
	b := p.signedIn("aud", linux)
	got := b.get("/admin/audit?person=annik&action=certificate.issued")
	if rows := strings.Count(string(got.body), "data-seq="); rows != 1 || !strings.Contains(got.text(), "Annika Muster") {
		t.Errorf("part of one name: got %d rows: %s", rows, got.text())
	}
	if !strings.Contains(got.text(), "Whose: Annika Muster ×") {
		t.Errorf("the chip does not say who was found: %s", got.text())
	}
	// What the command line did is not what a person of that name did.
	got = b.get("/admin/audit?actor=operator&action=certificate.issued")
	if rows := strings.Count(string(got.body), "data-seq="); rows != 0 {
		t.Errorf("of the command line: got %d rows: %s", rows, got.text())
	}
	got = b.get("/admin/audit?person=muster&action=certificate.issued")
	which := got.link("Anna Muster")
	if got.id("which") == nil || which != "/admin/audit?action=certificate.issued&person=id-of-anna" || strings.Contains(string(got.body), "data-seq=") {
		t.Fatalf("of two people: %q: %s", which, got.text())
	}
	if rows := strings.Count(string(b.get(which).body), "data-seq="); rows != 1 {
		t.Errorf("the chosen one: got %d rows", rows)
	}
}

// TestBulkRevocationsHavePages: lists and rows of 50.
func TestBulkRevocationsHavePages(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 400)
	b := p.signedIn("ada", linux)
	var made answer
	for range 51 {
		if made = b.post("/admin/orders", "from", "2020-01-01"); made.status != 303 {
			t.Fatalf("got %d: %s", made.status, made.text())
		}
	}
	list := b.get("/admin/orders")
	if n := strings.Count(list.text(), "UTC"); n != 50 || list.link("Next page") != "/admin/orders?after=50" {
		t.Errorf("got %d orders, and then %q", n, list.link("Next page"))
	}
	if last := b.get("/admin/orders?after=50"); strings.Count(last.text(), "UTC") != 1 || last.link("First page") != "/admin/orders" || last.link("Next page") != "" {
		t.Errorf("the last page: %s", last.text())
	}
	for range 3 {
		if err := p.admin.RunBulks(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	path, seen := made.location(), map[string]bool{}
	first := b.get(path)
	if n := len(first.serials()); n != 50 {
		t.Fatalf("got %d rows on the first page: %s", n, first.text())
	}
	for path != "" {
		got := b.get(path)
		for _, serial := range got.serials() {
			if seen[serial] {
				t.Errorf("%s is on two pages", serial)
			}
			seen[serial] = true
		}
		path = got.link("Next page")
	}
	if len(seen) <= 50 {
		t.Errorf("got %d certificates on all pages", len(seen))
	}
}
