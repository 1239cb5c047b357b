package store

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"certportal/internal/admin"
)

// condition collects the parts of a WHERE clause and their values. No text of
// anybody's stands in the SQL: only numbers of parameters.
type condition struct {
	parts []string
	args  []any
}

// arg adds a value and gives its place.
func (c *condition) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *condition) and(part string) { c.parts = append(c.parts, part) }

// between asks for texts that begin with a prefix: up to the last character there
// is, in the order of code points.
func (c *condition) between(column, prefix string) {
	c.and(column + " >= " + c.arg(prefix))
	c.and(column + " < " + c.arg(prefix+string(rune(utf8.MaxRune))))
}

func (c *condition) where() string {
	if len(c.parts) == 0 {
		return "TRUE"
	}
	return strings.Join(c.parts, " AND ")
}

// lead is the one index that a search walks along: the condition that opens it, the
// columns it is ordered by, and what of the filter it has met.
type lead struct {
	open func(*condition)
	keys [2]string
	down bool // from the greatest to the least
	met  met
}

// met says which parts of a filter a lead takes care of.
type met struct{ person, device, serial, state, dates bool }

// order is the ORDER BY of a lead for a table of this name.
func (l lead) order(table string) string {
	direction := ""
	if l.down {
		direction = " DESC"
	}
	return table + "." + l.keys[0] + direction + ", " + table + "." + l.keys[1] + direction
}

// row is the pair of columns a lead is ordered by.
func (l lead) row(table string) string {
	return "(" + table + "." + l.keys[0] + ", " + table + "." + l.keys[1] + ")"
}

// behind asks for rows after a pair of keys, in the order of the lead.
func (l lead) behind(c *condition, table string, first, second any) {
	comparison := " > "
	if l.down {
		comparison = " < "
	}
	c.and(l.row(table) + comparison + "(" + c.arg(first) + ", " + c.arg(second) + ")")
}

// until asks for rows up to a pair of keys and including it.
func (l lead) until(c *condition, table string, first, second any) {
	comparison := " <= "
	if l.down {
		comparison = " >= "
	}
	c.and(l.row(table) + comparison + "(" + c.arg(first) + ", " + c.arg(second) + ")")
}

// stillValid is the condition of its index for a certificate c that is neither
// pending nor revoked.
const stillValid = "c.der IS NOT NULL AND c.revoked_at IS NULL"

// inState asks for certificates c in a state at the moment.
func inState(c *condition, f admin.Filter, now time.Time) {
	switch f.State {
	case admin.Working:
		c.and("c.status = 'issued' AND c.not_after > " + c.arg(now.UnixMilli()))
	case admin.Expiring:
		c.and("c.status = 'issued'")
		endsWithin(c, f, now)
	case admin.Expired:
		c.and("c.status IN ('issued', 'superseded') AND c.not_after <= " + c.arg(now.UnixMilli()))
	case admin.Superseded:
		c.and("c.status = 'superseded' AND c.not_after > " + c.arg(now.UnixMilli()))
	case admin.Revoked:
		c.and("c.status = 'revoked'")
	case admin.Pending:
		c.and("c.status = 'pending'")
	}
}

func endsWithin(c *condition, f admin.Filter, now time.Time) {
	c.and("c.not_after > " + c.arg(now.UnixMilli()))
	c.and("c.not_after <= " + c.arg(now.AddDate(0, 0, f.Days).UnixMilli()))
}

// certificateLead chooses the index for a filter that no group of people or devices
// leads: the serial, the person, the state, or the time of the request.
func certificateLead(f admin.Filter, now time.Time) lead {
	byRequest := [2]string{"requested_at", "serial"}
	switch {
	case f.Serial != "":
		return lead{keys: [2]string{"serial", "serial"}, met: met{serial: true},
			open: func(c *condition) { serialBegins(c, "c.serial", f.Serial) }}
	case f.DeviceID != "":
		return lead{keys: byRequest, down: true, met: met{device: true},
			open: func(c *condition) { c.and("c.device_id = " + c.arg(string(f.DeviceID))) }}
	case f.PersonID != "":
		return lead{keys: byRequest, down: true, met: met{person: true},
			open: func(c *condition) { c.and("c.person = " + c.arg(string(f.PersonID))) }}
	}
	byEnd := [2]string{"not_after", "serial"}
	switch f.State {
	case admin.Expiring:
		return lead{keys: byEnd, open: func(c *condition) {
			c.and(stillValid)
			endsWithin(c, f, now)
		}}
	case admin.Expired:
		return lead{keys: byEnd, down: true, met: met{state: true}, open: func(c *condition) {
			c.and(stillValid + " AND c.not_after <= " + c.arg(now.UnixMilli()))
		}}
	case admin.Revoked:
		return lead{keys: [2]string{"revoked_at", "serial"}, down: true, met: met{state: true},
			open: func(c *condition) { c.and("c.revoked_at IS NOT NULL") }}
	case admin.Pending:
		return lead{keys: byRequest, down: true, met: met{state: true},
			open: func(c *condition) { c.and("c.der IS NULL AND c.revoked_at IS NULL") }}
	case admin.Superseded:
		return lead{keys: byRequest, down: true, open: func(c *condition) { c.and("c.status = 'superseded'") }}
	}
	return lead{keys: byRequest, down: true, met: met{dates: true},
		open: func(c *condition) { within(c, "c.requested_at", f) }}
}

// serialBegins is a range that holds under every order of letters: g follows all
// digits there are.
func serialBegins(c *condition, column, prefix string) {
	c.and(column + " >= " + c.arg(prefix))
	c.and(column + " < " + c.arg(prefix+"g"))
}

// within asks for rows of the days of the filter.
func within(c *condition, column string, f admin.Filter) {
	if !f.From.IsZero() {
		c.and(column + " >= " + c.arg(f.From.UnixMilli()))
	}
	if !f.To.IsZero() {
		c.and(column + " < " + c.arg(f.To.UnixMilli()))
	}
}

// named asks for people whose words begin with those of the filter.
func named(c *condition, person string, words []string) {
	for _, word := range words {
		inner := condition{args: c.args} // the parameters are numbered through
		inner.and("w.person = " + person)
		inner.between("w.word", word)
		c.args = inner.args
		c.and("EXISTS (SELECT 1 FROM person_words w WHERE " + inner.where() + ")")
	}
}
