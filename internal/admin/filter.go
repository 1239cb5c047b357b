package admin

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"certportal/internal/portal"
)

// State is where a certificate stands at a moment, as people ask for it.
type State string

// The states, as the field "status" of the address names them.
const (
	Working    State = "working"    // opens doors, and is the one its device uses
	Expiring   State = "expiring"   // works, and ends within Days
	Expired    State = "expired"    // ended by itself
	Superseded State = "superseded" // works, and a newer one is there
	Revoked    State = "revoked"
	Pending    State = "pending" // being issued
)

// States lists the states in the order of the pages.
func States() []State { return []State{Working, Expiring, Expired, Superseded, Revoked, Pending} }

// DefaultDays is how far Expiring looks where the filter does not say.
const DefaultDays = 30

// Filter says which certificates or devices are meant. Every field narrows; the zero
// value means all.
type Filter struct {
	Person   string          // beginnings of words of the name, or of the UPN
	PersonID portal.PersonID // exactly this person
	Device   string          // beginning of the device's name
	DeviceID portal.DeviceID // exactly this device
	Serial   string          // beginning of the serial, lower-case hexadecimal
	State    State
	Days     int       // for Expiring: 1 to 3650
	From     time.Time // requested, or created, at this moment or later
	To       time.Time // and before this one
}

// The fields of the address, in the order of the form.
const (
	fieldPerson = "person"
	fieldID     = "id"
	fieldDevice = "device"
	fieldDevID  = "device_id"
	fieldSerial = "serial"
	fieldStatus = "status"
	fieldDays   = "days"
	fieldFrom   = "from"
	fieldTo     = "to"
)

// Fields lists the fields of the address.
func Fields() []string {
	return []string{fieldPerson, fieldDevice, fieldSerial, fieldStatus, fieldDays, fieldFrom, fieldTo, fieldID, fieldDevID}
}

// maxField bounds one field of a filter, in bytes.
const maxField = 200

// ParseFilter reads a filter from the query of an address, days as 2006-01-02 in the
// zone. It returns the names of the fields it does not understand; those do not
// narrow, so a page that has any must not show or do anything.
func ParseFilter(q url.Values, zone *time.Location) (Filter, []string) {
	var f Filter
	var bad []string
	text := func(field string) string {
		s := strings.TrimSpace(q.Get(field))
		if len(s) > maxField || strings.ContainsFunc(s, unicode.IsControl) || len(q[field]) > 1 {
			bad = append(bad, field)
			return ""
		}
		return norm.NFC.String(strings.ToValidUTF8(s, ""))
	}
	ok := func(field string, fine bool) {
		if !fine {
			bad = append(bad, field)
		}
	}
	f.Person, f.Device = text(fieldPerson), text(fieldDevice)
	f.PersonID, f.DeviceID = portal.PersonID(text(fieldID)), portal.DeviceID(text(fieldDevID))
	ok(fieldPerson, f.Person == "" || len(f.PersonWords()) > 0 && len(strings.Fields(f.Person)) <= maxWords)
	var fine bool
	f.Serial, fine = serialPrefix(text(fieldSerial))
	ok(fieldSerial, fine)
	f.State = State(text(fieldStatus))
	ok(fieldStatus, f.State == "" || slices.Contains(States(), f.State))
	f.Days, fine = days(text(fieldDays))
	ok(fieldDays, fine)
	if f.State != Expiring {
		f.Days = 0
	} else if f.Days == 0 {
		f.Days = DefaultDays
	}
	f.From, fine = day(text(fieldFrom), zone, 0)
	ok(fieldFrom, fine)
	f.To, fine = day(text(fieldTo), zone, 1) // the last day counts too
	ok(fieldTo, fine && (f.From.IsZero() || f.To.IsZero() || f.From.Before(f.To)))
	slices.Sort(bad)
	return f, slices.Compact(bad)
}

// Query is the filter as it stands in an address: what [ParseFilter] reads.
func (f Filter) Query(zone *time.Location) url.Values {
	q := url.Values{}
	set := func(field, value string) {
		if value != "" {
			q.Set(field, value)
		}
	}
	set(fieldPerson, f.Person)
	set(fieldID, string(f.PersonID))
	set(fieldDevice, f.Device)
	set(fieldDevID, string(f.DeviceID))
	set(fieldSerial, f.Serial)
	set(fieldStatus, string(f.State))
	if f.Days > 0 {
		set(fieldDays, strconv.Itoa(f.Days))
	}
	set(fieldFrom, moment(f.From, zone, 0))
	set(fieldTo, moment(f.To, zone, -1))
	return q
}

// moment writes the beginning of a day as that day, or the one so many days further,
// and any other moment as it is: a day of one zone is none of another.
func moment(t time.Time, zone *time.Location, further int) string {
	t = t.In(zone)
	switch {
	case t.IsZero():
		return ""
	case t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)):
		return t.AddDate(0, 0, further).Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// IsZero reports whether the filter means everything.
func (f Filter) IsZero() bool { return f == Filter{} }

// serialPrefix takes the beginning of a serial as people copy it: in either case,
// with 0x, spaces, colons or hyphens.
func serialPrefix(s string) (string, bool) {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	s = strings.TrimPrefix(s, "0x")
	// Some programs show the octet that keeps the number positive.
	for strings.HasPrefix(s, "00") {
		s = s[2:]
	}
	foreign := func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }
	return s, len(s) <= 40 && !strings.ContainsFunc(s, foreign)
}

func days(s string) (int, bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 1 && n <= 3650
}

// day reads what moment writes.
func day(s string, zone *time.Location, further int) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err == nil {
		t = t.AddDate(0, 0, further)
	} else if t, err = time.Parse(time.RFC3339Nano, s); err == nil {
		t = t.In(zone)
	}
	return t, err == nil && t.Year() > 1970 && t.Year() < 9999
}

// Fold makes one spelling of those that people take for the same.
func Fold(s string) string { return norm.NFC.String(cases.Fold().String(norm.NFC.String(s))) }

// maxWords and maxWord bound the words of one name, and each of them in characters: a
// database cannot index what is longer than a page.
const (
	maxWords = 12
	maxWord  = 64
)

// clipped cuts words that are longer than is remembered.
func clipped(words []string) []string {
	for i, w := range words {
		if r := []rune(w); len(r) > maxWord {
			words[i] = string(r[:maxWord])
		}
	}
	return words
}

// PersonWords are the folded beginnings that the field Person asks for, the longest
// first. All must be met.
func (f Filter) PersonWords() []string {
	words := clipped(strings.Fields(Fold(f.Person)))
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	words = slices.Compact(words)
	return words[:min(len(words), maxWords)]
}

// NameWords are the folded words under which somebody is found: those of the name,
// whole and without what joins them (O'Brien is also Brien), and the UPN.
func NameWords(name, upn string) []string {
	joins := func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }
	var words []string
	if upn != "" {
		words = append(words, Fold(upn))
	}
	for _, word := range strings.Fields(Fold(name)) {
		word = strings.TrimFunc(word, joins)
		words = append(words, word)
		words = append(words, strings.FieldsFunc(word, joins)...)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	words = clipped(words[:min(len(words), maxWords)])
	slices.Sort(words)
	return slices.Compact(words)
}
