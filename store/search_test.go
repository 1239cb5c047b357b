package store_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/seed"
)

var (
	_ admin.Store = (*store.DB)(nil)
)

// plainTemplate has only the length of a certificate: the store does not parse it.
func plainTemplate(length int) (seed.Template, error) {
	return seed.Template{DER: []byte(strings.Repeat("x", length))}, nil
}

// seeded fills an empty database of each engine with made-up people.
func seeded(t *testing.T, certificates int, test func(t *testing.T, db *database)) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			address := engine.address(t)
			db := &database{DB: opened(t, address), plain: connect(t, engine.driver, address), address: address, dialect: engine.dialect}
			err := seed.Fill(t.Context(), db.DB, seed.Config{Certificates: certificates, Now: testkit.Noon, Template: plainTemplate})
			if err != nil {
				t.Fatal(err)
			}
			test(t, db)
		})
	}
}

// everything reads all rows without a search.
func everything(t *testing.T, db *database) []admin.Certificate {
	t.Helper()
	rows, err := db.plain.Query(`SELECT c.serial, c.status, c.upn, c.person, c.device_id, c.not_after, c.requested_at,
		coalesce(c.revoked_at, 0), p.name, d.name FROM certificates c JOIN people p ON p.id = c.person JOIN devices d ON d.id = c.device_id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []admin.Certificate
	for rows.Next() {
		var c admin.Certificate
		var serial, status string
		var end, requested, revoked int64
		if err := rows.Scan(&serial, &status, &c.UPN, &c.Person, &c.Device, &end, &requested, &revoked, &c.PersonName, &c.DeviceName); err != nil {
			t.Fatal(err)
		}
		if err := c.Serial.UnmarshalText([]byte(serial)); err != nil {
			t.Fatal(err)
		}
		c.NotAfter, c.Requested, c.RevokedAt = time.UnixMilli(end), time.UnixMilli(requested), time.UnixMilli(revoked)
		switch {
		case status == "revoked":
			c.State = admin.Revoked
		case !c.NotAfter.After(testkit.Noon):
			c.State = admin.Expired
		case status == "superseded":
			c.State = admin.Superseded
		default:
			c.State = admin.Working
		}
		all = append(all, c)
	}
	return all
}

// meant is a filter written out in plain loops.
func meant(f admin.Filter, c admin.Certificate) bool {
	called := func() bool {
		words := admin.NameWords(c.PersonName, c.UPN, "")
		return !slices.ContainsFunc(f.PersonWords(), func(asked string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, asked) })
		})
	}
	inState := f.State == "" || c.State == f.State
	if f.State == admin.Expiring {
		inState = c.State == admin.Working && !c.NotAfter.After(testkit.Noon.AddDate(0, 0, f.Days))
	}
	return inState && called() &&
		(f.PersonID == "" || c.Person == f.PersonID) && (f.DeviceID == "" || c.Device == f.DeviceID) &&
		strings.HasPrefix(admin.Fold(c.DeviceName), admin.Fold(f.Device)) && strings.HasPrefix(c.Serial.String(), f.Serial) &&
		(f.From.IsZero() || !c.Requested.Before(f.From)) && (f.To.IsZero() || c.Requested.Before(f.To)) &&
		(f.Since.IsZero() || !c.RevokedAt.IsZero() && !c.RevokedAt.Before(f.Since))
}

// paged reads all pages of a search.
func paged(t *testing.T, db admin.Store, f admin.Filter, limit int) (serials []string, pages int) {
	t.Helper()
	var from admin.Cursor
	for {
		found := testkit.Must(db.Certificates(t.Context(), f, from, limit, testkit.Noon))(t)
		for _, c := range found.Rows {
			serials = append(serials, c.Serial.String())
		}
		if pages++; found.Next == (admin.Cursor{}) || pages > 5000 {
			return serials, pages
		}
		if len(found.Rows) < limit && found.Scanned == 0 {
			t.Fatalf("page of %d rows goes on and does not say why", len(found.Rows))
		}
		next := testkit.Must(admin.ParseCursor(found.Next.String()))(t)
		testkit.Equal(t, "place in an address", next, found.Next)
		from = next
	}
}

func TestSearchFindsTheSameAsLoops(t *testing.T) {
	const certificates = 4500
	filters := []struct {
		name string
		f    admin.Filter
	}{
		{"everything", admin.Filter{}},
		{"name", admin.Filter{Person: "schm"}},
		{"name of two words", admin.Filter{Person: "MÜLLER be"}},
		{"second half of a name", admin.Filter{Person: "brien"}},
		{"name with its apostrophe", admin.Filter{Person: "O’Brien"}},
		{"upn", admin.Filter{Person: "anna.schmidt.0@seed"}},
		{"both words of one person", admin.Filter{Person: "a"}},
		{"nobody", admin.Filter{Person: "zzz"}},
		{"name and state", admin.Filter{Person: "k", State: admin.Working}},
		{"name and nothing", admin.Filter{Person: "k", State: admin.Pending}},
		{"name and device", admin.Filter{Person: "ben", Device: "ben’s pc"}},
		{"device", admin.Filter{Device: "Anna’s iPh"}},
		{"device and state", admin.Filter{Device: "anna", State: admin.Revoked}},
		{"person", admin.Filter{PersonID: "seed17"}},
		{"person and state", admin.Filter{PersonID: "seed17", State: admin.Working}},
		{"device of an id", admin.Filter{DeviceID: "seed17-0"}},
		{"serial", admin.Filter{Serial: "4a"}},
		{"serial and state", admin.Filter{Serial: "5", State: admin.Expired}},
		{"working", admin.Filter{State: admin.Working}},
		{"expiring", admin.Filter{State: admin.Expiring, Days: 40}},
		{"expired", admin.Filter{State: admin.Expired}},
		{"superseded", admin.Filter{State: admin.Superseded}},
		{"revoked", admin.Filter{State: admin.Revoked}},
		{"pending", admin.Filter{State: admin.Pending}},
		{"days", admin.Filter{From: testkit.Noon.AddDate(0, -3, 0), To: testkit.Noon.AddDate(0, -2, 0)}},
		{"days and state", admin.Filter{From: testkit.Noon.AddDate(0, -3, 0), State: admin.Revoked}},
		{"days of the expiring", admin.Filter{To: testkit.Noon.AddDate(0, -11, 0), State: admin.Expiring, Days: 60}},
	}
	seeded(t, certificates, func(t *testing.T, db *database) {
		all := everything(t, db)
		testkit.Equal(t, "certificates", len(all), certificates)
		for _, tt := range filters {
			t.Run(tt.name, func(t *testing.T) {
				var want []string
				for _, c := range all {
					if meant(tt.f, c) {
						want = append(want, c.Serial.String())
					}
				}
				for _, limit := range []int{7, 50, 1000} {
					if limit == 7 && len(want) > 1000 {
						continue
					}
					got, _ := paged(t, db, tt.f, limit)
					slices.Sort(got)
					slices.Sort(want)
					if !slices.Equal(got, want) {
						t.Errorf("pages of %d: got %d rows (%d different), want %d", limit, len(got), len(slices.Compact(got)), len(want))
					}
				}
				if len(want) == 0 && tt.f.State != admin.Pending && tt.name != "nobody" {
					t.Error("the test means nothing")
				}
			})
		}
	})
}

func TestSearchStandsStillUnderInserts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for i := range 9 {
			e := fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("p", i)), "iPhone")
			e.Reservation.Requested = testkit.Noon.Add(time.Duration(i) * time.Minute)
			e.Issue(t, db)
		}
		first := testkit.Must(db.Certificates(t.Context(), admin.Filter{}, admin.Cursor{}, 4, testkit.Noon))(t)
		late := fixture.NewEnrolment(t, "late", "iPhone")
		late.Reservation.Requested = testkit.Noon.Add(time.Hour)
		late.Issue(t, db)
		second := testkit.Must(db.Certificates(t.Context(), admin.Filter{}, first.Next, 4, testkit.Noon))(t)
		testkit.Equal(t, "last of the first page", first.Rows[3].Person, "p5")
		testkit.Equal(t, "first of the second page", second.Rows[0].Person, "p4")
	})
}

func TestSearchRemembersNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		find := func(name string) int {
			found := testkit.Must(db.Certificates(t.Context(), admin.Filter{Person: name}, admin.Cursor{}, 10, testkit.Noon))(t)
			return len(found.Rows)
		}
		e := fixture.NewEnrolment(t, anna, "iPhone")
		e.Reservation.Name = "Anna Schmidt"
		e.Issue(t, db)
		testkit.Equal(t, "by name", find("schmidt"), 1)
		next := e.Renewal(t)
		next.Reservation.Name, next.Reservation.Subject.UPN = "Anna Öztürk-Weber", "anna.weber@corp.example"
		next.Issue(t, db)
		testkit.Equal(t, "by the name of before", find("schmidt"), 0)
		for _, name := range []string{"ÖZTÜRK", "weber", "anna.weber@", "öztürk-w"} {
			testkit.Equal(t, "by "+name, find(name), 2)
		}
	})
}

// A search that tries SQL finds nothing and breaks nothing.
func TestSearchTakesNoSQL(t *testing.T) {
	attacks := []string{
		`' OR '1'='1`, `'; DROP TABLE people; --`, `%`, `_`, `*`, `a%' --`, `") UNION SELECT hash FROM ledger --`, `$1`, `?1`, `\`,
		"\x00", "a\x00b", `{{.}}`, `1) OR (1=1`, strings.Repeat("(", 100), "\U0010ffff", "\xff",
	}
	seeded(t, 300, func(t *testing.T, db *database) {
		for _, attack := range attacks {
			for field, f := range map[string]admin.Filter{
				"person": {Person: attack}, "id": {PersonID: portal.PersonID(attack)}, "device": {Device: attack},
				"device id": {DeviceID: portal.DeviceID(attack)}, "serial": {Serial: attack}, "state": {State: admin.State(attack), Person: "zzz"},
				"word": {Person: "anna " + attack}, "authority": {Issuer: attack}, "picked": {Picked: attack}, "sort": {Person: "zzz", Sort: admin.Sort(attack)},
			} {
				for _, from := range []admin.Cursor{{}, {Group: attack, ID: attack, Last: attack, At: 1}} {
					found, err := db.Certificates(t.Context(), f, from, 10, testkit.Noon)
					if err != nil || len(found.Rows) != 0 {
						t.Errorf("%s %q: got %d rows, error %v", field, attack, len(found.Rows), err)
					}
					devices, err := db.SearchDevices(t.Context(), f, from, 10, testkit.Noon)
					if err != nil || len(devices.Rows) != 0 {
						t.Errorf("devices, %s %q: got %d rows, error %v", field, attack, len(devices.Rows), err)
					}
				}
			}
			if _, err := db.Bulk(t.Context(), attack); err == nil {
				t.Errorf("order %q found", attack)
			}
		}
		testkit.Equal(t, "certificates after", len(everything(t, db)), 300)
	})
}

func TestSearchDevices(t *testing.T) {
	seeded(t, 900, func(t *testing.T, db *database) {
		pages := func(f admin.Filter) []admin.Device {
			var all []admin.Device
			var from admin.Cursor
			for {
				found := testkit.Must(db.SearchDevices(t.Context(), f, from, 9, testkit.Noon))(t)
				all = append(all, found.Rows...)
				if found.Next == (admin.Cursor{}) {
					return all
				}
				from = found.Next
			}
		}
		all := pages(admin.Filter{})
		var count int
		if err := db.plain.QueryRow("SELECT count(*) FROM devices").Scan(&count); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "devices", len(all), count)
		for name, f := range map[string]admin.Filter{
			"name": {Device: "anna"}, "person": {Person: "schm"}, "state": {State: admin.Revoked}, "id": {DeviceID: all[3].ID},
			"of a person": {PersonID: all[5].Person}, "name and state": {Device: "ben", State: admin.Working},
			"serial": {Serial: all[7].Certificate.Serial.String()}, "days": {From: testkit.Noon.AddDate(0, -6, 0)},
			"person and name": {Person: "clara", Device: "clara’s pc"},
		} {
			want := 0
			for _, d := range all {
				c := admin.Certificate{
					Serial: d.Certificate.Serial, State: d.State, UPN: d.UPN, PersonName: d.PersonName, Person: d.Person,
					Device: d.ID, DeviceName: d.Name, Requested: d.Created,
				}
				if meant(f, c) {
					want++
				}
			}
			if got := len(pages(f)); got != want || want == 0 {
				t.Errorf("%s: got %d devices, want %d", name, got, want)
			}
		}
	})
}

func TestDetail(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone")
		e.Reservation.Name = "Anna Schmidt"
		e.Issue(t, db)
		d := testkit.Must(db.CertificateDetail(t.Context(), e.Serial(), testkit.Noon))(t)
		testkit.Equal(t, "state", d.State, admin.Working)
		testkit.Equal(t, "name", d.PersonName, "Anna Schmidt")
		testkit.Equal(t, "device", d.DeviceName, "iPhone")
		sameBytes(t, "certificate", d.DER, e.Completion.Certificate.Raw)
		revoke(t, db, portal.Lost, testkit.Noon, e.Serial())
		d = testkit.Must(db.CertificateDetail(t.Context(), e.Serial(), testkit.Noon))(t)
		testkit.Equal(t, "state", d.State, admin.Revoked)
		testkit.Equal(t, "reason", d.Reason, 1)
		_, err := db.CertificateDetail(t.Context(), fixture.NewEnrolment(t, anna, "x").Serial(), testkit.Noon)
		wantError(t, "detail of nothing", err, portal.ErrNotFound)
	})
}

func TestSeedRefusesPeople(t *testing.T) {
	seeded(t, 50, func(t *testing.T, db *database) {
		err := seed.Fill(t.Context(), db.DB, seed.Config{Certificates: 1, Now: testkit.Noon, Template: plainTemplate})
		wantError(t, "seeding twice", err, seed.ErrNotEmpty)
		fixture.Entries(t, db) // the chain holds
	})
}

func TestAdminStats(t *testing.T) {
	seeded(t, 800, func(t *testing.T, db *database) {
		since := admin.NewStatsSince(testkit.Noon, time.UTC)
		want := admin.Stats{Since: since}
		for _, c := range everything(t, db) {
			if c.State == admin.Working {
				want.Working++
				if !c.NotAfter.After(testkit.Noon.Add(admin.StatsEnding)) {
					want.Ending++
				}
				if week := int(c.NotAfter.Sub(testkit.Noon)-1) / int(7*24*time.Hour); week < admin.StatsWeeks {
					want.EndingWeeks[week]++
				}
			}
			if !c.Requested.Before(since.Issued) {
				want.Issued++
			}
			if week := int(testkit.Noon.Sub(c.Requested)) / int(7*24*time.Hour); week < admin.StatsWeeks {
				want.IssuedWeeks[admin.StatsWeeks-1-week]++
			}
			if c.State == admin.Revoked && !c.RevokedAt.Before(since.Revoked) {
				want.Revoked++
			}
		}
		for _, reason := range []string{"quota", "not-allowed", "quota"} {
			e := fixture.NewEntry(testkit.Noon, "enrolment.refused", anna)
			e.Detail = map[string]string{"reason": reason}
			if err := db.Note(context.Background(), e); err != nil {
				t.Fatal(err)
			}
			want.Failed++
		}
		want.At = testkit.Noon
		if want.IssuedWeeks[0] == 0 || want.EndingWeeks[admin.StatsWeeks-1] == 0 {
			t.Fatalf("a week is empty: %+v", want)
		}
		testkit.Equal(t, "numbers", testkit.Must(db.AdminStats(t.Context(), testkit.Noon, since))(t), want)
		reasons := testkit.Must(db.RefusalReasons(t.Context(), testkit.Noon.Add(-time.Hour), 10))(t)
		if len(reasons) != 2 || reasons[0] != (admin.ReasonCount{Reason: "quota", Count: 2}) || reasons[1].Count != 1 {
			t.Errorf("reasons: got %v", reasons)
		}
		if reasons := testkit.Must(db.RefusalReasons(t.Context(), testkit.Noon.Add(-time.Hour), 1))(t); len(reasons) != 1 {
			t.Errorf("the newest alone: got %v", reasons)
		}
		makeOwn(t, db) // whose entries are older, and whose certificate is none of them
		want.Failed = 0
		got := testkit.Must(db.AdminStats(t.Context(), testkit.Noon, since))(t)
		got.Failed = 0
		testkit.Equal(t, "numbers beside own certificates", got, want)
	})
}

// makeOwn records a certificate of the portal's own that works, and one that was revoked.
func makeOwn(t *testing.T, db *database) {
	t.Helper()
	for _, name := range []string{"signer", "test"} {
		own := fixture.NewEnrolmentAt(t, testkit.Noon.Add(-time.Hour), 10*24*time.Hour, "", name)
		r := &own.Reservation
		r.Kind, r.Device, r.NewDevice, r.Quota, r.Idempotent = portal.KindServer, portal.Device{}, false, 0, ""
		own.Completion.Pickup = nil
		own.Issue(t, db)
		if name == "test" {
			revoke(t, db, portal.Withdrawn, testkit.Noon, own.Serial())
		}
	}
}
