package auditmonitor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"certportal/internal/audit"
)

// Format appends an entry and its line end to b.
type Format func(b []byte, e audit.Entry) ([]byte, error)

// JSONLines formats entries as lines of JSON, version audit.ExportVersion.
func JSONLines(b []byte, e audit.Entry) ([]byte, error) { return e.AppendJSON(b) }

// SyslogLines formats entries as RFC 5424 messages, one per line.
func SyslogLines(b []byte, e audit.Entry) ([]byte, error) {
	b, err := e.AppendSyslog(b)
	return append(b, '\n'), err
}

// Export says which entries to export. A zero Since or Until does not restrict.
type Export struct {
	After        int64 // only entries with a higher number
	Since, Until time.Time
	Format       Format
}

// WriteTo writes entries as they are read, and returns how many. It ends at the entry
// that was the last when it began: otherwise two exports, whose own entries are
// appended, could chase each other forever.
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
