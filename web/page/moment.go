package page

import (
	"strconv"
	"time"

	"certportal/internal/catalogue"
)

// moment is a point in time as a page shows it: <time datetime> with words in the zone
// of the company, in place of which the script writes those of the reader's zone.
type moment struct {
	Text  string
	Stamp string // RFC 3339, with the offset of the words
	Form  string // "day", "clock", "moment" or "second"; the script has the same
	UTC   string // the same in UTC, for comparing with logs; empty for a day or time of day
}

// String is the moment as plain text, such as in a title.
func (m moment) String() string { return m.Text }

// Date is a day in words, "22 November 2027".
func (v view) Date(t time.Time) (moment, error) {
	text, err := v.day(t)
	return v.moment(t, "day", string(text)), err
}

// Clock is a time of day with its zone, "14:32 CET".
func (v view) Clock(t time.Time) moment {
	return v.moment(t, "clock", v.clock(t, "15:04 "))
}

// Moment is a day with the time of day.
func (v view) Moment(t time.Time) (moment, error) {
	text, err := v.day(t)
	m := v.moment(t, "moment", string(text)+", "+v.clock(t, "15:04 "))
	m.UTC = t.UTC().Format(time.RFC3339)
	return m, err
}

// Second is a moment to the second, where what is promised hangs on it.
func (v view) Second(t time.Time) (moment, error) {
	text, err := v.day(t)
	m := v.moment(t, "second", string(text)+", "+v.clock(t, "15:04:05 "))
	m.UTC = t.UTC().Format(time.RFC3339)
	return m, err
}

func (v view) moment(t time.Time, form, text string) moment {
	return moment{Text: text, Form: form, Stamp: t.In(v.r.location).Format(time.RFC3339)}
}

func (v view) day(t time.Time) (words, error) {
	t = t.In(v.r.location)
	month, err := v.phrase("month." + strconv.Itoa(int(t.Month())))
	if err != nil {
		return "", err
	}
	return v.phrase("date", "Day", t.Day(), "Month", month, "Year", t.Year())
}

func (v view) clock(t time.Time, form string) string {
	t = t.In(v.r.location)
	return t.Format(form) + catalogue.Zone(t)
}

// For is a sentence about a deadline: how long it is from now on, rounded down, as Span,
// and its Time. People trust a duration in any zone, and the time stays true on a page
// that is left open.
func (v view) For(key string, end time.Time) (sentence, error) {
	return v.until(key, end, end.Sub(v.Layout.Now))
}

// Wait is a sentence about a pause: as For, but both are rounded up, so that trying again
// then succeeds.
func (v view) Wait(key string, end time.Time) (sentence, error) {
	const almost = time.Minute - time.Nanosecond
	return v.until(key, end.Add(almost).Truncate(time.Minute), end.Sub(v.Layout.Now)+almost)
}

// Within is a sentence about a limit: its hours from now on, rounded up, as Count, and
// its Moment.
func (v view) Within(key string, end time.Time) (sentence, error) {
	at, err := v.Moment(end)
	if err != nil {
		return nil, err
	}
	// The end was rounded up to its minute, which is no hour more.
	hours := int((end.Sub(v.Layout.Now) - time.Minute + time.Hour - time.Nanosecond) / time.Hour)
	return v.T(key, "Count", max(1, hours), "Moment", at)
}

// until fills a sentence about a deadline that is in left.
func (v view) until(key string, end time.Time, left time.Duration) (sentence, error) {
	unit, count := "span.minutes", max(1, int(left/time.Minute))
	if count >= 120 {
		unit, count = "span.hours", count/60
	}
	span, err := v.phrase(unit, "Count", count)
	if err != nil {
		return nil, err
	}
	return v.T(key, "Span", span, "Time", v.Clock(end))
}
