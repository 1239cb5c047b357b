package admin

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"certportal/ca"
	"certportal/internal/portal"
)

// State is what people search certificates by: a state of portal.State, or several of them.
type State string

// The states, as the query parameter "status" names them. The words of Pending and Expiring
// are those of portal.StateMaking and portal.StateEndsSoon.
const (
	NotDownloaded = State(portal.StateNotDownloaded)
	Downloaded    = State(portal.StateDownloaded)
	Works         = State(portal.StateWorks)
	Replaced      = State(portal.StateReplaced)
	Void          = State(portal.StateVoid)
	Blocked       = State(portal.StateBlocked)
	NeverFetched  = State(portal.StateNeverFetched)

	Working    State = "working"    // valid, and the newest of its device
	Expiring   State = "expiring"   // valid, and expires within Days
	Expired    State = "expired"    // past its validity
	Superseded State = "superseded" // valid, and the device has a newer one
	Revoked    State = "revoked"
	Pending    State = "pending" // being issued
)

// States lists the states in the order of the pages, and behind them those that mean
// several.
func States() []State {
	return []State{
		Pending, NotDownloaded, Downloaded, Works, Expiring, Void, Replaced, Blocked, Expired, NeverFetched,
		Working, Superseded, Revoked,
	}
}

// DefaultDays is the default of Filter.Days.
const DefaultDays = 30

// Filter selects certificates or devices. Every field narrows; the zero value selects
// all.
type Filter struct {
	Person   string // prefixes of words of the name, or of the UPN
	PersonID portal.PersonID
	Device   string // prefix of the device's name
	DeviceID portal.DeviceID
	Serial   string // prefix of the serial, lower-case hexadecimal
	State    State
	Days     int       // for Expiring: 1 to 3650
	From     time.Time // requested, or created, at or after this time
	To       time.Time // and before this time
	Since    time.Time // revoked at or after this time
	Picked   string    // serials separated by dots, at most PageSize
	Issuer   string    // name of the issuing CA: "issuing", "issuing-2"
	Sort     Sort      // order of the rows; narrows nothing
}

// Sort is the order of a list. Each has an index.
type Sort string

// The orders, as the query parameter "sort" names them. The zero value is the order of
// the index that the search walks: newest first for most.
const (
	SortNewest   Sort = "-requested" // by the request, or the creation of a device
	SortOldest   Sort = "requested"
	SortEnd      Sort = "until" // by the end of a certificate
	SortEndLast  Sort = "-until"
	SortPerson   Sort = "person" // by the name of the person
	SortDevice   Sort = "device" // by the name of the device
	SortDeviceUp Sort = "-device"
)

// CertificateSorts lists the orders of certificates that a filter may have: with the name
// of a person or a device, or a serial, the search walks the index of that.
func (f Filter) CertificateSorts() []Sort {
	switch {
	case f.Serial != "" || f.Picked != "" || f.Person != "" || f.Device != "" || !f.Since.IsZero():
		return nil
	case f.PersonID != "" || f.DeviceID != "":
		return []Sort{SortNewest, SortOldest}
	case f.Issuer != "":
		return []Sort{SortEnd, SortEndLast}
	}
	// In other orders than these a status is so rare among the rows of the index that pages
	// would read until their limit.
	switch f.State {
	case Working:
		return []Sort{SortNewest, SortEnd, SortEndLast, SortPerson, SortDevice}
	case Void:
		return []Sort{SortEnd, SortEndLast}
	case Expiring:
		return []Sort{SortEnd, SortEndLast}
	case Expired:
		return []Sort{SortEnd, SortEndLast, SortPerson, SortDevice}
	case Superseded:
		return []Sort{SortNewest, SortOldest}
	case Pending:
		return []Sort{SortNewest, SortOldest}
	}
	return []Sort{SortNewest, SortOldest, SortEnd, SortEndLast, SortPerson, SortDevice}
}

// DeviceSorts lists the orders of devices that a filter may have.
func (f Filter) DeviceSorts() []Sort {
	switch {
	case f.DeviceID != "" || f.Person != "":
		return nil
	case f.PersonID != "":
		return []Sort{SortNewest, SortOldest}
	case f.Device != "":
		return []Sort{SortDevice, SortDeviceUp}
	}
	return []Sort{SortNewest, SortOldest, SortPerson, SortDevice, SortDeviceUp}
}

// sorts lists all orders.
func sorts() []Sort {
	return []Sort{"", SortNewest, SortOldest, SortEnd, SortEndLast, SortPerson, SortDevice, SortDeviceUp}
}

// The query parameters, in the order of the form.
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
	fieldSince  = "since"
	fieldPick   = "pick"
	fieldIssuer = "authority"
	fieldSort   = "sort"
)

// Fields lists the query parameters.
func Fields() []string {
	return []string{fieldPerson, fieldDevice, fieldSerial, fieldStatus, fieldDays, fieldFrom, fieldTo, fieldSince, fieldID, fieldDevID, fieldPick, fieldIssuer, fieldSort}
}

// maxField bounds one field of a filter, in bytes.
const maxField = 200

// ParseFilter reads a filter from query parameters, days as 2006-01-02 in the zone. It
// returns the names of invalid parameters. They do not narrow, so the caller must not
// use the filter if there are any.
func ParseFilter(q url.Values, zone *time.Location) (Filter, []string) {
	var f Filter
	var bad []string
	text := func(field string) string {
		s := strings.TrimSpace(norm.NFC.String(strings.ToValidUTF8(q.Get(field), "")))
		if len(s) > maxField || strings.ContainsFunc(s, unicode.IsControl) || len(q[field]) > 1 {
			bad = append(bad, field)
			return ""
		}
		return s
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
	f.State = stateNamed(text(fieldStatus))
	ok(fieldStatus, f.State == "" || slices.Contains(States(), f.State))
	f.Days, fine = days(text(fieldDays))
	ok(fieldDays, fine)
	if f.State != Expiring {
		f.Days = 0
	} else if f.Days == 0 {
		f.Days = DefaultDays
	}
	f.Picked, fine = picked(q[fieldPick])
	ok(fieldPick, fine)
	f.Issuer = text(fieldIssuer)
	ok(fieldIssuer, f.Issuer == "" || authorityName(f.Issuer))
	f.Sort = Sort(text(fieldSort))
	ok(fieldSort, slices.Contains(sorts(), f.Sort))
	f.From, fine = parseDay(text(fieldFrom), zone, 0)
	ok(fieldFrom, fine)
	f.To, fine = parseDay(text(fieldTo), zone, 1) // the last day is included
	ok(fieldTo, fine && (f.From.IsZero() || f.To.IsZero() || f.From.Before(f.To)))
	f.Since, fine = parseDay(text(fieldSince), zone, 0)
	ok(fieldSince, fine)
	slices.Sort(bad)
	return f, slices.Compact(bad)
}

// stateNamed takes the words of portal.State for all states.
func stateNamed(word string) State {
	switch portal.State(word) {
	case portal.StateMaking:
		return Pending
	case portal.StateEndsSoon:
		return Expiring
	}
	return State(word)
}

// Query returns the query parameters that [ParseFilter] reads.
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
	set(fieldFrom, formatTime(f.From, zone, 0))
	set(fieldTo, formatTime(f.To, zone, -1))
	set(fieldSince, formatTime(f.Since, zone, 0))
	set(fieldPick, f.Picked)
	set(fieldIssuer, f.Issuer)
	set(fieldSort, string(f.Sort))
	return q
}

// formatTime formats the start of a day as that date, shifted by days, and any other
// time in full: a day of one zone is none of another.
func formatTime(t time.Time, zone *time.Location, shift int) string {
	t = t.In(zone)
	switch {
	case t.IsZero():
		return ""
	case t.Equal(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone)):
		return t.AddDate(0, 0, shift).Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// IsZero reports whether the filter selects everything.
func (f Filter) IsZero() bool {
	f.Sort = ""
	return f == Filter{}
}

// PickedSerials lists the serials of Picked.
func (f Filter) PickedSerials() []string {
	if f.Picked == "" {
		return nil
	}
	return strings.Split(f.Picked, ".")
}

// picked reads the serials that check boxes or an address hold.
func picked(values []string) (string, bool) {
	serials := strings.FieldsFunc(strings.Join(values, "."), func(r rune) bool { return r == '.' })
	if len(serials) > PageSize {
		return "", false
	}
	for _, text := range serials {
		if serial, err := ca.ParseSerial(text); err != nil || serial.String() != text {
			return "", false
		}
	}
	slices.Sort(serials)
	return strings.Join(slices.Compact(serials), "."), true
}

// serialPrefix accepts the notations people copy: upper or lower case, with 0x, spaces,
// colons or hyphens.
func serialPrefix(s string) (string, bool) {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
	s = strings.TrimPrefix(s, "0x")
	// Some programs show the leading octet that keeps the number positive.
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

// parseDay reads what formatTime writes.
func parseDay(s string, zone *time.Location, shift int) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err == nil {
		t = t.AddDate(0, 0, shift)
	} else if t, err = time.Parse(time.RFC3339Nano, s); err == nil {
		t = t.In(zone)
	}
	return t, err == nil && t.Year() > 1970 && t.Year() < 9999
}

// Fold maps strings that people consider equal to one string: Unicode case folding and
// NFC.
func Fold(s string) string { return portal.Fold(s) }

// maxWords and maxWord bound the words of one name and the characters of a word:
// databases cannot index longer ones.
const (
	maxWords = 12
	maxWord  = 64
)

// clipped shortens words to maxWord.
func clip(words []string) []string {
	for i, w := range words {
		if r := []rune(w); len(r) > maxWord {
			words[i] = string(r[:maxWord])
		}
	}
	return words
}

// PersonWords returns the folded words of the field Person, the longest first. A person
// must match all.
func (f Filter) PersonWords() []string {
	words := clip(strings.Fields(Fold(f.Person)))
	slices.SortStableFunc(words, func(a, b string) int { return len(b) - len(a) })
	words = slices.Compact(words)
	return words[:min(len(words), maxWords)]
}

// NameWords returns the folded words under which a person is found: the UPN, the mail
// address, and the words of the name, whole and split at punctuation (O'Brien is also found as Brien).
func NameWords(name, upn, mail string) []string {
	joins := func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }
	var words []string
	for _, address := range []string{upn, mail} {
		if address != "" {
			words = append(words, Fold(address))
		}
	}
	for _, word := range strings.Fields(Fold(name)) {
		word = strings.TrimFunc(word, joins)
		words = append(words, word)
		words = append(words, strings.FieldsFunc(word, joins)...)
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	words = clip(words[:min(len(words), maxWords)])
	slices.Sort(words)
	return slices.Compact(words)
}
