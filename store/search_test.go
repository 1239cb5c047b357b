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
	"certportal/store"
	"certportal/store/seed"
)

var (
	_ admin.Store = (*store.DB)(nil)
)

// plainTemplate is a certificate only in length: the store does not look into it.
func plainTemplate(length int) (seed.Template, error) {
	return seed.Template{DER: []byte(strings.Repeat("x", length))}, nil
}

// seeded fills an empty database of each engine with made-up people.
func seeded(t *testing.T, certificates int, test func(t *testing.T, db *fixture)) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			address := engine.address(t)
			db := &fixture{DB: opened(t, address), plain: plainly(t, engine.driver, address), address: address, dialect: engine.dialect}
			err := seed.Fill(t.Context(), db.DB, seed.Config{Certificates: certificates, Now: noon, Template: plainTemplate})
			if err != nil {
				t.Fatal(err)
			}
			test(t, db)
		})
	}
}

// everything reads all rows without a search.
func everything(t *testing.T, db *fixture) []admin.Certificate {
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
		case !c.NotAfter.After(noon):
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

// meant is a filter in the plainest of words.
func meant(f admin.Filter, c admin.Certificate) bool {
	called := func() bool {
		words := admin.NameWords(c.PersonName, c.UPN)
		return !slices.ContainsFunc(f.PersonWords(), func(asked string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, asked) })
		})
	}
	inState := f.State == "" || c.State == f.State
	if f.State == admin.Expiring {
		inState = c.State == admin.Working && !c.NotAfter.After(noon.AddDate(0, 0, f.Days))
	}
	return inState && called() &&
		(f.PersonID == "" || c.Person == f.PersonID) && (f.DeviceID == "" || c.Device == f.DeviceID) &&
		strings.HasPrefix(admin.Fold(c.DeviceName), admin.Fold(f.Device)) && strings.HasPrefix(c.Serial.String(), f.Serial) &&
		(f.From.IsZero() || !c.Requested.Before(f.From)) && (f.To.IsZero() || c.Requested.Before(f.To))
}

// paged reads all pages of a search.
func paged(t *testing.T, db admin.Store, f admin.Filter, limit int) (serials []string, pages int) {
	t.Helper()
	var from admin.Cursor
	for {
		found := must[admin.Found[admin.Certificate]](t)(db.Certificates(t.Context(), f, from, limit, noon))
		for _, c := range found.Rows {
			serials = append(serials, c.Serial.String())
		}
		if pages++; found.Next == (admin.Cursor{}) || pages > 5000 {
			return serials, pages
		}
		if len(found.Rows) < limit && found.Scanned == 0 {
			t.Fatalf("page of %d rows goes on and does not say why", len(found.Rows))
		}
		next := must[admin.Cursor](t)(admin.ParseCursor(found.Next.String()))
		equal(t, "place in an address", next, found.Next)
		from = next
	}
}

func TestSearchFindsWhatIsMeant(t *testing.T) {
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
		{"days", admin.Filter{From: noon.AddDate(0, -3, 0), To: noon.AddDate(0, -2, 0)}},
		{"days and state", admin.Filter{From: noon.AddDate(0, -3, 0), State: admin.Revoked}},
		{"days of the expiring", admin.Filter{To: noon.AddDate(0, -11, 0), State: admin.Expiring, Days: 60}},
	}
	seeded(t, certificates, func(t *testing.T, db *fixture) {
		all := everything(t, db)
		equal(t, "certificates", len(all), certificates)
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
	onBoth(t, func(t *testing.T, db *fixture) {
		for i := range 9 {
			e := request(t, portal.PersonID(fmt.Sprint("p", i)), "iPhone")
			e.reservation.Requested = noon.Add(time.Duration(i) * time.Minute)
			issue(t, db, e)
		}
		first := must[admin.Found[admin.Certificate]](t)(db.Certificates(t.Context(), admin.Filter{}, admin.Cursor{}, 4, noon))
		late := request(t, "late", "iPhone")
		late.reservation.Requested = noon.Add(time.Hour)
		issue(t, db, late)
		second := must[admin.Found[admin.Certificate]](t)(db.Certificates(t.Context(), admin.Filter{}, first.Next, 4, noon))
		equal(t, "last of the first page", first.Rows[3].Person, "p5")
		equal(t, "first of the second page", second.Rows[0].Person, "p4")
	})
}

func TestSearchRemembersNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		find := func(name string) int {
			found := must[admin.Found[admin.Certificate]](t)(db.Certificates(t.Context(), admin.Filter{Person: name}, admin.Cursor{}, 10, noon))
			return len(found.Rows)
		}
		e := request(t, anna, "iPhone")
		e.reservation.Name = "Anna Schmidt"
		issue(t, db, e)
		equal(t, "by name", find("schmidt"), 1)
		next := e.again(t)
		next.reservation.Name, next.reservation.Subject.UPN = "Anna Öztürk-Weber", "anna.weber@corp.example"
		issue(t, db, next)
		equal(t, "by the name of before", find("schmidt"), 0)
		for _, name := range []string{"ÖZTÜRK", "weber", "anna.weber@", "öztürk-w"} {
			equal(t, "by "+name, find(name), 2)
		}
	})
}

// A search that tries SQL finds nothing and breaks nothing.
func TestSearchTakesNoSQL(t *testing.T) {
	attacks := []string{
		`' OR '1'='1`, `'; DROP TABLE people; --`, `%`, `_`, `*`, `a%' --`, `") UNION SELECT hash FROM ledger --`, `$1`, `?1`, `\`,
		"\x00", "a\x00b", `{{.}}`, `1) OR (1=1`, strings.Repeat("(", 100), "\U0010ffff", "\xff",
	}
	seeded(t, 300, func(t *testing.T, db *fixture) {
		for _, attack := range attacks {
			for field, f := range map[string]admin.Filter{
				"person": {Person: attack}, "id": {PersonID: portal.PersonID(attack)}, "device": {Device: attack},
				"device id": {DeviceID: portal.DeviceID(attack)}, "serial": {Serial: attack}, "state": {State: admin.State(attack), Person: "zzz"},
				"word": {Person: "anna " + attack},
			} {
				for _, from := range []admin.Cursor{{}, {Group: attack, ID: attack, Last: attack, At: 1}} {
					found, err := db.Certificates(t.Context(), f, from, 10, noon)
					if err != nil || len(found.Rows) != 0 {
						t.Errorf("%s %q: got %d rows, error %v", field, attack, len(found.Rows), err)
					}
					devices, err := db.SearchDevices(t.Context(), f, from, 10, noon)
					if err != nil || len(devices.Rows) != 0 {
						t.Errorf("devices, %s %q: got %d rows, error %v", field, attack, len(devices.Rows), err)
					}
				}
			}
			if _, err := db.Bulk(t.Context(), attack); err == nil {
				t.Errorf("order %q found", attack)
			}
		}
		equal(t, "certificates after", len(everything(t, db)), 300)
	})
}

func TestSearchDevices(t *testing.T) {
	seeded(t, 900, func(t *testing.T, db *fixture) {
		pages := func(f admin.Filter) []admin.Device {
			var all []admin.Device
			var from admin.Cursor
			for {
				found := must[admin.Found[admin.Device]](t)(db.SearchDevices(t.Context(), f, from, 9, noon))
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
		equal(t, "devices", len(all), count)
		for name, f := range map[string]admin.Filter{
			"name": {Device: "anna"}, "person": {Person: "schm"}, "state": {State: admin.Revoked}, "id": {DeviceID: all[3].ID},
			"of a person": {PersonID: all[5].Person}, "name and state": {Device: "ben", State: admin.Working},
			"serial": {Serial: all[7].Certificate.Serial.String()}, "days": {From: noon.AddDate(0, -6, 0)},
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
	onBoth(t, func(t *testing.T, db *fixture) {
		e := request(t, anna, "iPhone")
		e.reservation.Name = "Anna Schmidt"
		issue(t, db, e)
		d := must[admin.CertificateDetail](t)(db.CertificateDetail(t.Context(), e.serial(), noon))
		equal(t, "state", d.State, admin.Working)
		equal(t, "name", d.PersonName, "Anna Schmidt")
		equal(t, "device", d.DeviceName, "iPhone")
		sameBytes(t, "certificate", d.DER, e.completion.Certificate.Raw)
		revoke(t, db, portal.Lost, noon, e.serial())
		d = must[admin.CertificateDetail](t)(db.CertificateDetail(t.Context(), e.serial(), noon))
		equal(t, "state", d.State, admin.Revoked)
		equal(t, "reason", d.Reason, 1)
		_, err := db.CertificateDetail(t.Context(), request(t, anna, "x").serial(), noon)
		wantError(t, "detail of nothing", err, portal.ErrNotFound)
	})
}

func TestSeedRefusesPeople(t *testing.T) {
	seeded(t, 50, func(t *testing.T, db *fixture) {
		err := seed.Fill(t.Context(), db.DB, seed.Config{Certificates: 1, Now: noon, Template: plainTemplate})
		wantError(t, "seeding twice", err, seed.ErrNotEmpty)
		entries(t, db) // the chain holds
	})
}

func TestTally(t *testing.T) {
	seeded(t, 800, func(t *testing.T, db *fixture) {
		var want admin.Stats
		for _, c := range everything(t, db) {
			if c.State == admin.Working || c.State == admin.Superseded {
				want.Working++
				if !c.NotAfter.After(noon.Add(admin.StatsEnding)) {
					want.Ending++
				}
			}
			if c.Requested.After(noon.Add(-admin.StatsIssued)) {
				want.Issued++
			}
			if c.State == admin.Revoked && c.RevokedAt.After(noon.Add(-admin.StatsRevoked)) {
				want.Revoked++
			}
		}
		for range 3 {
			e := entry("enrolment.refused", anna)
			if err := db.Note(context.Background(), e); err != nil {
				t.Fatal(err)
			}
			want.Failed++
		}
		want.At = noon
		equal(t, "numbers", must[admin.Stats](t)(db.AdminStats(t.Context(), noon)), want)
	})
}
