package store_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// inOrder compares certificates in an order, equal ones as equal.
func inOrder(sort admin.Sort) func(a, b admin.Certificate) int {
	switch sort {
	case admin.SortNewest:
		return func(a, b admin.Certificate) int { return b.Requested.Compare(a.Requested) }
	case admin.SortOldest:
		return func(a, b admin.Certificate) int { return a.Requested.Compare(b.Requested) }
	case admin.SortEnd:
		return func(a, b admin.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }
	case admin.SortEndLast:
		return func(a, b admin.Certificate) int { return b.NotAfter.Compare(a.NotAfter) }
	}
	return func(a, b admin.Certificate) int { return cmp.Compare(a.DeviceName, b.DeviceName) }
}

// statesOfLoops are those that [meant] knows. TestStatesAreFiltersToo has the others.
func statesOfLoops() []admin.State {
	return []admin.State{admin.Pending, admin.Expiring, admin.Expired, admin.Working, admin.Superseded, admin.Revoked}
}

// TestSortedSearch reads the pages of every order with every kind of filter: they hold
// what loops find, in that order.
func TestSortedSearch(t *testing.T) {
	seeded(t, 1500, func(t *testing.T, db *database) {
		all := everything(t, db)
		filters := []admin.Filter{{}, {From: testkit.Noon.AddDate(0, -6, 0)}, {PersonID: all[17].Person}}
		for _, state := range statesOfLoops() {
			filters = append(filters, admin.Filter{State: state, Days: 40})
		}
		for _, f := range filters {
			var want []admin.Certificate
			for _, c := range all {
				if meant(f, c) {
					want = append(want, c)
				}
			}
			for _, sort := range f.CertificateSorts() {
				f.Sort = sort
				got := allPages(t, db, f)
				what := fmt.Sprintf("%q of %q", sort, f.State)
				testkit.Equal(t, what+": rows", len(got), len(want))
				if sort != admin.SortPerson && sort != admin.SortDevice && !slices.IsSortedFunc(got, inOrder(sort)) {
					t.Errorf("%s: not in order", what)
				}
				if names := personNames(got); sort == admin.SortPerson && db.dialect == "sqlite3" && !slices.IsSorted(names) {
					t.Errorf("%s: not in the order of names: %v", what, names[:min(9, len(names))])
				}
			}
		}
	})
}

// allPages reads all pages of a search, and checks that no row is on two of them.
func allPages(t *testing.T, db *database, f admin.Filter) []admin.Certificate {
	t.Helper()
	seen := map[string]bool{}
	var rows []admin.Certificate
	var from admin.Cursor
	for range 5000 {
		found := testkit.Must(db.Certificates(t.Context(), f, from, 60, testkit.Noon))(t)
		for _, c := range found.Rows {
			if seen[c.Serial.String()] {
				t.Errorf("%q: %s is on two pages", f.Sort, c.Serial)
			}
			seen[c.Serial.String()] = true
		}
		rows = append(rows, found.Rows...)
		if found.Next == (admin.Cursor{}) {
			return rows
		}
		from = found.Next
	}
	t.Fatalf("%q: the pages have no end", f.Sort)
	return nil
}

func personNames(rows []admin.Certificate) []string {
	var names []string
	for _, c := range rows {
		names = append(names, c.PersonName)
	}
	return names
}

// TestSearchCountsHits: exact where the count ends before its bound.
func TestSearchCountsHits(t *testing.T) {
	seeded(t, 1800, func(t *testing.T, db *database) {
		all := everything(t, db)
		picked := []string{all[3].Serial.String(), all[9].Serial.String()}
		slices.Sort(picked)
		filters := []admin.Filter{
			{}, {Person: "schm"}, {Person: "zzz"}, {Device: "anna"}, {PersonID: all[17].Person}, {Serial: all[5].Serial.String()},
			{Since: testkit.Noon.AddDate(0, -2, 0)}, {Since: testkit.Noon.AddDate(0, -2, 0), State: admin.Revoked},
			{Person: "k", State: admin.Working}, {From: testkit.Noon.AddDate(0, -3, 0)}, {From: testkit.Noon.AddDate(0, -6, 0), State: admin.Superseded},
		}
		for _, state := range statesOfLoops() {
			filters = append(filters, admin.Filter{State: state, Days: 40})
		}
		for _, f := range filters {
			want := 0
			for _, c := range all {
				if meant(f, c) {
					want++
				}
			}
			got := testkit.Must(db.CountCertificates(t.Context(), f, testkit.Noon))(t)
			testkit.Equal(t, fmt.Sprintf("hits of %+v", f), got, admin.Hits{Number: want})
		}
		got := testkit.Must(db.CountCertificates(t.Context(), admin.Filter{Picked: strings.Join(picked, ".")}, testkit.Noon))(t)
		testkit.Equal(t, "hits of two serials", got, admin.Hits{Number: 2})
		rows := allPages(t, db, admin.Filter{Picked: strings.Join(picked, ".")})
		testkit.Equal(t, "rows of two serials", len(rows), 2)
		devices := testkit.Must(db.CountDevices(t.Context(), admin.Filter{}, testkit.Noon))(t)
		var want int
		testkit.NoError(t, db.plain.QueryRow("SELECT count(*) FROM devices").Scan(&want))
		testkit.Equal(t, "devices", devices, admin.Hits{Number: want})
	})
}

// TestSortedDevices reads the pages of devices in every order.
func TestSortedDevices(t *testing.T) {
	seeded(t, 700, func(t *testing.T, db *database) {
		var want int
		testkit.NoError(t, db.plain.QueryRow("SELECT count(*) FROM devices").Scan(&want))
		for _, sort := range (admin.Filter{}).DeviceSorts() {
			var rows []admin.Device
			var from admin.Cursor
			for range 1000 {
				found := testkit.Must(db.SearchDevices(t.Context(), admin.Filter{Sort: sort}, from, 40, testkit.Noon))(t)
				rows = append(rows, found.Rows...)
				if from = found.Next; from == (admin.Cursor{}) {
					break
				}
			}
			testkit.Equal(t, fmt.Sprintf("rows in order %q", sort), len(rows), want)
			created := func(a, b admin.Device) int { return a.Created.Compare(b.Created) }
			switch sorted := slices.IsSortedFunc(rows, created); {
			case sort == admin.SortOldest && !sorted:
				t.Error("oldest first: not in order")
			case sort == admin.SortNewest && sorted:
				t.Error("newest first: the oldest are first")
			}
		}
	})
}

// TestSearchByDayOfEnding: certificates that ended since a day, the last first, and their
// devices.
func TestSearchByDayOfEnding(t *testing.T) {
	seeded(t, 1500, func(t *testing.T, db *database) {
		f := admin.Filter{Since: testkit.Noon.AddDate(0, -3, 0)}
		want := 0
		for _, c := range everything(t, db) {
			if meant(f, c) {
				want++
			}
		}
		got := allPages(t, db, f)
		if want == 0 || len(got) != want {
			t.Errorf("%d certificates, want %d", len(got), want)
		}
		if !slices.IsSortedFunc(got, func(a, b admin.Certificate) int { return b.RevokedAt.Compare(a.RevokedAt) }) {
			t.Error("the last that ended is not the first")
		}
		devices, from := 0, admin.Cursor{}
		for first := true; first || from != (admin.Cursor{}); first = false {
			found := testkit.Must(db.SearchDevices(t.Context(), f, from, 50, testkit.Noon))(t)
			for _, d := range found.Rows {
				if d.Certificate.RevokedAt.Before(f.Since) {
					t.Errorf("device %s: ended %s", d.ID, d.Certificate.RevokedAt)
				}
			}
			devices, from = devices+len(found.Rows), found.Next
		}
		if devices == 0 {
			t.Error("no devices")
		}
		if sorts := f.CertificateSorts(); len(sorts) > 0 {
			t.Errorf("orders without an index: %v", sorts)
		}
	})
}

// TestSortedSearchKeepsOwnCertificates: the portal's own have no person and no device. They
// follow all others, on pages of every length, and in what the filter means.
func TestSortedSearchKeepsOwnCertificates(t *testing.T) {
	seeded(t, 119, func(t *testing.T, db *database) {
		makeOwn(t, db)
		want := len(everything(t, db)) + 2 // which have no person
		for _, sort := range []admin.Sort{admin.SortPerson, admin.SortDevice} {
			for _, limit := range []int{1, 7, want - 2, want - 1, want} {
				serials, _ := paged(t, db, admin.Filter{Sort: sort}, limit)
				testkit.Equal(t, fmt.Sprintf("rows in order %q, %d a page", sort, limit), len(serials), want)
			}
			rows := allPages(t, db, admin.Filter{Sort: sort})
			if len(rows) != want || rows[want-1].Person != "" || rows[want-2].Person != "" || rows[want-3].Person == "" {
				t.Errorf("order %q: %d rows, want %d with the two own ones at the end", sort, len(rows), want)
			}
			if working := allPages(t, db, admin.Filter{Sort: sort, State: admin.Working}); working[len(working)-1].Person != "" {
				t.Errorf("order %q: the own one that works is not at the end", sort)
			}
		}
	})
}

// TestPeopleAreFoundByMail: by an address that is not the UPN, also of certificates from
// before the portal kept it as a word.
func TestPeopleAreFoundByMail(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone")
		e.Reservation.Name, e.Reservation.Subject.Mail = "Anna Schmidt", "Post.Anna@Corp.Example"
		e.Issue(t, db)
		find := func() int {
			found := testkit.Must(db.Certificates(t.Context(), admin.Filter{Person: "post.anna@"}, admin.Cursor{}, 10, testkit.Noon))(t)
			return len(found.Rows)
		}
		testkit.Equal(t, "by mail", find(), 1)
		if _, err := db.plain.Exec("DELETE FROM person_words WHERE word LIKE 'post%'"); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "without the word", find(), 0)
		next := e.Renewal(t)
		next.Reservation.Name, next.Reservation.Subject.Mail = e.Reservation.Name, e.Reservation.Subject.Mail
		next.Issue(t, db)
		testkit.Equal(t, "after a renewal", find(), 2)
	})
}

// TestKnown: a text is known as what exists under it.
func TestKnown(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "Galaxy")
		e.Reservation.Name = "Anna Schmidt"
		e.Issue(t, db)
		for f, want := range map[admin.Filter]bool{
			{Person: "schmi"}: true, {Person: "galaxy"}: false, {Device: "gala"}: true, {Device: "schmidt"}: false,
			{Serial: e.Serial().String()[:8]}: true, {Serial: "ffffffffffff"}: false, {Person: "\x00"}: false,
		} {
			testkit.Equal(t, fmt.Sprintf("%+v", f), testkit.Must(db.Known(t.Context(), f))(t), want)
		}
		ids, more, err := db.PeopleCalled(t.Context(), "ann schm", 5)
		if len(ids) != 1 || ids[0] != anna || more || err != nil {
			t.Errorf("got %v, %t, %v, want %s", ids, more, err, anna)
		}
	})
}

// TestPeopleCalledLooksFurther: the one who is meant may be behind hundreds with the same
// word. The search says when it stopped before the end.
func TestPeopleCalledLooksFurther(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		var people, words []string
		for i := range 2600 {
			id, given := fmt.Sprintf("p%04d", i), "hans"
			if i == 700 || i == 701 {
				given = "zoe"
			}
			people = append(people, fmt.Sprintf("('%s', 0, '%s schmidt')", id, given))
			words = append(words, fmt.Sprintf("('schmidt', '%s')", id), fmt.Sprintf("('%s', '%s')", given, id))
		}
		for _, query := range []string{
			"INSERT INTO people (id, changes, name) VALUES " + strings.Join(people, ","), "INSERT INTO person_words (word, person) VALUES " + strings.Join(words, ","),
		} {
			_, err := db.plain.Exec(query)
			testkit.NoError(t, err)
		}
		for _, tt := range []struct {
			text  string
			limit int
			want  int
			more  bool
		}{{"zoe schmidt", 20, 2, true}, {"zoe schmidt", 1, 1, true}, {"zoe", 20, 2, false}, {"schmidt", 20, 20, true}, {"otto schmidt", 20, 0, true}, {"otto", 20, 0, false}} {
			ids, more, err := db.PeopleCalled(t.Context(), tt.text, tt.limit)
			if len(ids) != tt.want || more != tt.more || err != nil {
				t.Errorf("%q, at most %d: got %v, more %t, %v, want %d, %t", tt.text, tt.limit, ids, more, err, tt.want, tt.more)
			}
		}
	})
}

// TestBulksHavePages: a list of bulk revocations goes on behind its first page.
func TestBulksHavePages(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for i := range 7 {
			o := admin.BulkRevocation{
				ID: fmt.Sprint("o", i), State: admin.Gathering, Filter: "status=working", Maker: "ada", MakerName: "Ada", Role: "admin",
				Made: testkit.Noon.Add(time.Duration(i) * time.Minute), Expires: testkit.Noon.Add(time.Hour),
			}
			testkit.NoError(t, db.AddBulk(t.Context(), o, fixture.NewEntry(testkit.Noon, "order.made", "ada")))
		}
		page := testkit.Must(db.Bulks(t.Context(), false, 3, 3))(t)
		if len(page) != 3 || page[0].ID != "o3" || page[2].ID != "o1" {
			t.Errorf("got %v", page)
		}
		testkit.Equal(t, "behind the end", len(testkit.Must(db.Bulks(t.Context(), false, 7, 3))(t)), 0)
	})
}
