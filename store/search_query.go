package store

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"certportal/internal/admin"
	"certportal/internal/portal"
)

// condition collects the parts of a WHERE clause and their values. The SQL never
// contains a value, only numbers of parameters.
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

// index is the one index that a search walks along: the condition that opens it, the
// columns it is ordered by, and which parts of the filter it covers.
type index struct {
	open   func(*condition)
	keys   [2]string
	down   bool // from the greatest to the least
	covers covered
}

// covered says which parts of a filter the index takes care of.
type covered struct{ person, device, serial, picked, issuer, state, dates, since bool }

// orderBy is the ORDER BY of the index for a table of this name.
func (x index) orderBy(table string) string {
	direction := ""
	if x.down {
		direction = " DESC"
	}
	return table + "." + x.keys[0] + direction + ", " + table + "." + x.keys[1] + direction
}

// pair is the pair of columns the index is ordered by.
func (x index) pair(table string) string {
	return "(" + table + "." + x.keys[0] + ", " + table + "." + x.keys[1] + ")"
}

// after asks for rows behind a cursor, in the order of the index.
func (x index) after(c *condition, table string, p admin.Cursor) {
	comparison := " > "
	if x.down {
		comparison = " < "
	}
	c.and(x.pair(table) + comparison + "(" + c.arg(x.key(p)) + ", " + c.arg(p.Last) + ")")
}

// upTo asks for rows up to a cursor and including it.
func (x index) upTo(c *condition, table string, p admin.Cursor) {
	comparison := " <= "
	if x.down {
		comparison = " >= "
	}
	c.and(x.pair(table) + comparison + "(" + c.arg(x.key(p)) + ", " + c.arg(p.Last) + ")")
}

// key is the first key of a cursor.
func (x index) key(p admin.Cursor) any {
	switch x.keys[0] {
	case "serial":
		return p.Last
	case "name_key":
		return p.Group
	}
	return p.At
}

// target is where the first key of a row is scanned to. That of a serial is its
// second key too.
func (x index) target(p *admin.Cursor) any {
	switch x.keys[0] {
	case "serial":
		return new(string)
	case "name_key":
		return &p.Group
	}
	return &p.At
}

// only keeps of a cursor what the index is ordered by.
func (x index) only(p admin.Cursor) admin.Cursor {
	if x.keys[0] == "name_key" {
		p.At = 0
		return p
	}
	p.Group = ""
	return p
}

// stillValid is the condition of its index for a certificate c that is neither
// pending nor revoked.
const stillValid = "c.der IS NOT NULL AND c.revoked_at IS NULL"

// notVoid is the condition that no CA of a certificate c was revoked. While none was, no row
// of a certificate is read for it.
const notVoid = `(NOT EXISTS (SELECT 1 FROM authorities r WHERE r.state = 'revoked') OR NOT ` + isVoid + `)`

// isVoid is the condition that the CA of a certificate c was revoked.
const isVoid = `EXISTS (SELECT 1 FROM authorities a WHERE a.name = COALESCE(c.authority, c.issuer) AND a.state = 'revoked')`

// inState asks for certificates c in a state at the moment.
func inState(c *condition, f admin.Filter, now time.Time) {
	switch f.State {
	case admin.Working:
		c.and("c.status = 'issued' AND " + notVoid + " AND c.not_after > " + c.arg(now.UnixMilli()))
	case admin.Void:
		c.and("c.status = 'issued' AND " + isVoid + " AND c.not_after > " + c.arg(now.UnixMilli()))
	case admin.Expiring:
		c.and("c.status = 'issued' AND " + notVoid)
		endsWithin(c, f, now)
	case admin.Expired:
		c.and("c.status IN ('issued', 'superseded') AND c.not_after <= " + c.arg(now.UnixMilli()))
	case admin.Superseded:
		c.and("c.status = 'superseded' AND c.not_after > " + c.arg(now.UnixMilli()))
	case admin.Revoked:
		c.and("c.status = 'revoked'")
	case admin.Pending:
		c.and("c.status = 'pending'")
	case admin.Blocked:
		c.and("c.status = 'revoked' AND c.cause NOT IN ('replaced', 'undelivered', 'abandoned')")
	case admin.NeverFetched:
		c.and("c.status = 'revoked' AND c.cause IN ('undelivered', 'abandoned')")
	case admin.Replaced:
		c.and("(c.status = 'superseded' OR c.status = 'revoked' AND c.cause = 'replaced')")
	case admin.NotDownloaded:
		c.and("c.status = 'issued' AND c.kind = 'user' AND c.delivered_at IS NULL AND " + notVoid + " AND c.not_after > " + c.arg(now.UnixMilli()))
	case admin.Downloaded:
		c.and("c.status = 'issued' AND c.kind = 'user' AND c.delivered_at IS NOT NULL AND c.works_at IS NULL AND " + notVoid)
		c.and("c.not_after > " + c.arg(now.Add(portal.EndsSoon).UnixMilli()))
	case admin.Works:
		c.and("c.status = 'issued' AND (c.works_at IS NOT NULL OR c.kind <> 'user') AND " + notVoid)
		c.and("c.not_after > " + c.arg(now.Add(portal.EndsSoon).UnixMilli()))
	}
}

func endsWithin(c *condition, f admin.Filter, now time.Time) {
	c.and("c.not_after > " + c.arg(now.UnixMilli()))
	c.and("c.not_after <= " + c.arg(now.AddDate(0, 0, f.Days).UnixMilli()))
}

// serialBegins is a range that holds under every collation: g follows all
// digits there are.
func serialBegins(c *condition, column, prefix string) {
	c.and(column + " >= " + c.arg(prefix))
	c.and(column + " < " + c.arg(prefix+"g"))
}

// picked asks for these certificates.
func picked(c *condition, serials []string) {
	marks := make([]string, len(serials))
	for i, serial := range serials {
		marks[i] = c.arg(serial)
	}
	c.and("c.serial IN (" + strings.Join(marks, ", ") + ")")
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

// revokedSince asks for certificates c that were revoked from that moment on.
func revokedSince(c *condition, f admin.Filter) {
	if !f.Since.IsZero() {
		c.and("c.revoked_at >= " + c.arg(f.Since.UnixMilli()))
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
