package auditmonitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"certportal/internal/audit"
)

// File is a target that appends entries to a file as lines of JSON. It opens the file
// for each batch, so that log rotation may rename it, and syncs it before the batch
// counts as forwarded. New files are readable by their owner only.
type File struct {
	Path string

	// Node is this replica: each replica writes all entries to a file of its own.
	Node string
}

// Name is the path and the replica.
func (f File) Name() string { return "file " + f.Path + " on " + f.Node }

// Send appends entries.
func (f File) Send(_ context.Context, entries []audit.Entry) error {
	file, err := os.OpenFile(f.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening audit log copy: %w", err)
	}
	text, err := f.beginning(file)
	for _, e := range entries {
		if err == nil {
			text, err = e.AppendJSON(text)
		}
	}
	if err == nil {
		_, err = file.Write(text)
	}
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing audit log copy: %w", err)
	}
	return nil
}

// beginning ends a line that a full disk or a crash cut off.
func (File) beginning(file *os.File) ([]byte, error) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, err
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if last[0] == '\n' {
		return nil, nil
	}
	return []byte{'\n'}, nil
}
