package web

import (
	"encoding/csv"
	"net/http"
	"strings"
	"time"

	"certportal/internal/deliver"
	"certportal/internal/escape"
)

// csvBatch is the number of rows after which the buffer is flushed.
const csvBatch = 500

// csvTimeout bounds the time to send one batch to a slow client.
const csvTimeout = 30 * time.Second

// csvWriter streams rows in CSV (RFC 4180), with a byte order mark by which
// spreadsheets detect UTF-8. Memory use does not depend on the number of rows.
type csvWriter struct {
	w    *csv.Writer
	to   *http.ResponseController
	now  func() time.Time
	rows int
}

// startCSV sends the headers of a file and its first row. After that a caller can only
// abort the connection on an error, so that a truncated file does not look complete.
func (s adminPages) startCSV(w http.ResponseWriter, name string, columns ...string) (*csvWriter, error) {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", deliver.ContentDisposition(s.org, name, 0, "csv"))
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write([]byte("\ufeff")); err != nil {
		return nil, err
	}
	c := &csvWriter{w: csv.NewWriter(w), to: http.NewResponseController(w), now: time.Now}
	c.w.UseCRLF = true
	return c, c.write(columns...)
}

// write adds a row. Hidden characters are shown, as on the pages.
func (c *csvWriter) write(cells ...string) error {
	safe := make([]string, len(cells))
	for i, cell := range cells {
		safe[i] = string(escape.Text([]byte(csvCell(cell))))
	}
	if err := c.w.Write(safe); err != nil {
		return err
	}
	if c.rows++; c.rows%csvBatch != 0 {
		return nil
	}
	return c.flush()
}

// flush sends the buffer. Each batch gets its own deadline, because a whole export may
// take longer than a page.
func (c *csvWriter) flush() error {
	// Some writers, such as those of tests, have no deadline.
	_ = c.to.SetWriteDeadline(c.now().Add(csvTimeout))
	c.w.Flush()
	if err := c.w.Error(); err != nil {
		return err
	}
	return c.to.Flush()
}

// csvCell escapes what a spreadsheet would run as a formula (attack A18): an
// apostrophe in front makes it text. Spreadsheets skip spaces and some invisible
// characters first, so these do not hide a formula.
func csvCell(s string) string {
	seen := strings.TrimLeft(s, " \u00a0\u200b\ufeff\"'")
	if strings.HasPrefix(s, "\t") || strings.HasPrefix(s, "\r") || strings.HasPrefix(s, "\n") ||
		seen != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", []rune(seen)[0]) {
		s = "'" + s
	}
	return disarmInside(s)
}

// disarmInside does the same after characters that some spreadsheets take for the end
// of a cell: where lists are separated by semicolons, they split the file there.
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

// csvTime formats a time in ISO 8601; empty for zero.
func csvTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
