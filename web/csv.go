package web

import (
	"encoding/csv"
	"net/http"
	"strings"
	"time"

	"certportal/internal/deliver"
)

// csvBatch is after how many rows what is written goes out.
const csvBatch = 500

// csvTimeout is how long a batch may take on its way to a slow reader.
const csvTimeout = 30 * time.Second

// csvWriter streams rows as RFC 4180 wants them, with a mark in front by which
// spreadsheets know UTF-8. It keeps no row: a million take no more memory than one.
type csvWriter struct {
	w    *csv.Writer
	to   *http.ResponseController
	now  func() time.Time
	rows int
}

// startCSV sends the headers of a file and its first row. After it there is no other
// answer: who meets an error cuts the connection, so that half a file does not look
// whole.
func (s adminPages) startCSV(w http.ResponseWriter, name string, columns ...string) (*csvWriter, error) {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", deliver.ContentDisposition(s.org, name, "csv"))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write([]byte("\ufeff")); err != nil {
		return nil, err
	}
	c := &csvWriter{w: csv.NewWriter(w), to: http.NewResponseController(w), now: time.Now}
	c.w.UseCRLF = true
	return c, c.write(columns...)
}

// write adds a row.
func (c *csvWriter) write(cells ...string) error {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = csvCell(cell)
	}
	if err := c.w.Write(safe); err != nil {
		return err
	}
	if c.rows++; c.rows%csvBatch != 0 {
		return nil
	}
	return c.flush()
}

// flush sends what was written. Each batch gets its own time, for the whole may take
// longer than any page.
func (c *csvWriter) flush() error {
	// A writer without deadlines is one of a test, or has none to move.
	_ = c.to.SetWriteDeadline(c.now().Add(csvTimeout))
	c.w.Flush()
	if err := c.w.Error(); err != nil {
		return err
	}
	return c.to.Flush()
}

// csvCell disarms what a spreadsheet would take for a formula (attack A18): an
// apostrophe in front makes it text. Spreadsheets skip spaces and some invisible
// characters before they look, so these do not hide it.
func csvCell(s string) string {
	seen := strings.TrimLeft(s, " \u00a0\u200b\ufeff\"'")
	if strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "\r") || strings.HasPrefix(s, "\n") ||
		seen != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(seen)[0]) {
		s = "'" + s
	}
	return disarmInside(s)
}

// disarmInside does the same behind what some spreadsheets take for the end of a cell:
// where lists are separated by semicolons, they cut this file there.
func disarmInside(s string) string {
	var b strings.Builder
	ends := false
	for _, r := range s {
		if ends && strings.ContainsRune("=+-@＝＋－＠", r) {
			b.WriteByte('\'')
		}
		ends = strings.ContainsRune(";\t\r\n", r) || ends && strings.ContainsRune(" \u00a0\u200b\ufeff\"", r)
		b.WriteRune(r)
	}
	return b.String()
}

// csvTime is a moment in a file: ISO 8601, empty for none.
func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
