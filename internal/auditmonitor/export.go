package auditmonitor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"certportal/internal/audit"
)

// Format appends an entry and its line end.
type Format func(b []byte, e audit.Entry) ([]byte, error)

// JSONLines writes lines of JSON, version ledger.ExportVersion.
func JSONLines(b []byte, e audit.Entry) ([]byte, error) { return e.AppendJSON(b) }

// SyslogLines writes messages of RFC 5424, one a line.
func SyslogLines(b []byte, e audit.Entry) ([]byte, error) {
	b, err := e.AppendSyslog(b)
	return append(b, '\n'), err
}

// Export says which entries are written out. The zero Since and Until bound
// nothing.
type Export struct {
	After        int64 // only entries with a higher number
	Since, Until time.Time
	Format       Format
}

// WriteTo writes the entries as they are read, page by page, and tells how many.
// It ends at the entry that is the last when it begins, or the export's own entry
// would be chased for ever by another's.
func (x Export) WriteTo(ctx context.Context, src Store, w io.Writer) (written int64, err error) {
	head, err := src.Head(ctx)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for after := x.After; after < head.Seq; {
		entries, err := src.Entries(ctx, after, pageSize)
		for _, e := range entries {
			after = e.Seq
			if e.At.Before(x.Since) || !x.Until.IsZero() && !e.At.Before(x.Until) || e.Seq > head.Seq {
				continue
			}
			if line, err = x.Format(line[:0], e); err != nil {
				return written, err
			}
			if _, err := out.Write(line); err != nil {
				return written, fmt.Errorf("writing entry %d: %w", e.Seq, err)
			}
			written++
		}
		if err != nil {
			return written, err
		}
		if len(entries) == 0 {
			break
		}
	}
	if err := out.Flush(); err != nil {
		return written, fmt.Errorf("writing entries: %w", err)
	}
	return written, nil
}
