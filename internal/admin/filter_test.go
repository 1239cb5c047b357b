package admin_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/admin"
)

func TestParseFilter(t *testing.T) {
	cases := []struct {
		name, query string
		want        admin.Filter
		bad         string
	}{
		{"nothing", "", admin.Filter{}, ""},
		{"spaces", "person=+anna++schmidt+", admin.Filter{Person: "anna  schmidt"}, ""},
		{"serial as Windows shows it", "serial=00+4A+5b+6C", admin.Filter{Serial: "4a5b6c"}, ""},
		{"serial as OpenSSL shows it", "serial=4A:5B:6C", admin.Filter{Serial: "4a5b6c"}, ""},
		{"serial as programs show it", "serial=0x4a5B", admin.Filter{Serial: "4a5b"}, ""},
		{"serial of an odd length", "serial=4a5", admin.Filter{Serial: "4a5"}, ""},
		{"serial with a letter", "serial=4x", admin.Filter{Serial: "4x"}, "serial"},
		{"serial too long", "serial=" + strings.Repeat("a", 41), admin.Filter{Serial: strings.Repeat("a", 41)}, "serial"},
		{"expiring", "status=expiring", admin.Filter{State: admin.Expiring, Days: 30}, ""},
		{"the word of the pages for it", "status=endssoon", admin.Filter{State: admin.Expiring, Days: 30}, ""},
		{"the word for pending", "status=making", admin.Filter{State: admin.Pending}, ""},
		{"expiring soon", "status=expiring&days=7", admin.Filter{State: admin.Expiring, Days: 7}, ""},
		{"days of another state", "status=revoked&days=7", admin.Filter{State: admin.Revoked}, ""},
		{"no such state", "status=gone", admin.Filter{State: "gone"}, "status"},
		{"days beyond", "status=expiring&days=0", admin.Filter{State: admin.Expiring, Days: 30}, "days"},
		{"no day", "from=2026-02-30", admin.Filter{}, "from"},
		{"backwards", "from=2026-03-02&to=2026-03-01", admin.Filter{
			From: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}, "to"},
		{"twice", "person=a&person=b", admin.Filter{}, "person"},
		{"authority", "authority=issuing-12&status=working", admin.Filter{Issuer: "issuing-12", State: admin.Working}, ""},
		{"first authority", "authority=issuing", admin.Filter{Issuer: "issuing"}, ""},
		{"no authority", "authority=issuing-x", admin.Filter{}, "authority"},
		{"root", "authority=root", admin.Filter{}, "authority"},
		{"control", "device=a%00b", admin.Filter{}, "device"},
		{"long", "device=" + strings.Repeat("a", 201), admin.Filter{}, "device"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			got, bad := admin.ParseFilter(q, time.UTC)
			if strings.Join(bad, ",") != c.bad {
				t.Errorf("got mistakes %v, want %q", bad, c.bad)
			}
			if c.bad == "" && got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestNameWords(t *testing.T) {
	cases := []struct {
		name, upn string
		want      []string
	}{
		{"Anna O’Brien", "Anna@Corp.Example", []string{"anna", "anna@corp.example", "brien", "o", "o’brien"}},
		{"  (李) 伟 ", "", []string{"伟", "李"}},
		{"", "", nil},
		{"STRASSE straße", "", []string{"strasse"}},
	}
	for _, c := range cases {
		if got := admin.NameWords(c.name, c.upn, ""); !slices.Equal(got, c.want) {
			t.Errorf("%q, %q: got %q, want %q", c.name, c.upn, got, c.want)
		}
	}
}

// A filter read from any address means the same after it is written back.
func FuzzFilter(f *testing.F) {
	f.Add("person=anna&serial=0x4A&status=expiring&days=3&from=2026-01-02&to=2026-02-03&id=x&device_id=y&device=z")
	f.Add("to=9998-12-31")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		filter, bad := admin.ParseFilter(q, time.UTC)
		if len(bad) > 0 {
			return
		}
		again, bad := admin.ParseFilter(filter.Query(time.UTC), time.UTC)
		if len(bad) > 0 || again != filter {
			t.Errorf("%q: got %+v (%v), want %+v", query, again, bad, filter)
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add(admin.Cursor{Group: "anna", ID: "p", At: 1, Last: "4a"}.String())
	f.Fuzz(func(t *testing.T, s string) {
		p, err := admin.ParseCursor(s)
		if err != nil {
			return
		}
		if again, err := admin.ParseCursor(p.String()); err != nil || again != p {
			t.Errorf("%q: got %+v, error %v, want %+v", s, again, err, p)
		}
	})
}
