package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"certportal/internal/durable"
)

// lastName is the file in the data folder that says how the last backup went.
const lastName = "last-backup.json"

// Last is the last backup that was made of a data folder, and whether a later one was not.
type Last struct {
	At   time.Time `json:"at,omitzero"` // of the last that was made; zero when there is none
	File string    `json:"file,omitempty"`
	Size int64     `json:"size,omitempty"`

	Failed  time.Time `json:"failed,omitzero"` // of a later one that was not made
	Failure string    `json:"failure,omitempty"`
}

// ReadLast reads how the last backup of a data folder went; the zero value when none is
// known.
func ReadLast(data string) (l Last, err error) {
	text, err := os.ReadFile(filepath.Join(data, lastName))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		return Last{}, fmt.Errorf("reading how the last backup went: %w", err)
	}
	return l, nil
}

// noteLast writes how a backup went. What was known of an earlier one stays.
func (s Source) noteLast(path string, r Report, failure error) error {
	last, err := ReadLast(s.Data)
	if err != nil {
		last = Last{} // of a damaged file
	}
	if failure == nil {
		last = Last{At: r.Made, File: path, Size: r.Size}
	} else {
		last.Failed, last.Failure = s.Now().UTC().Truncate(time.Second), failure.Error()
	}
	text, err := json.MarshalIndent(last, "", "  ")
	if err == nil {
		err = durable.Replace(filepath.Join(s.Data, lastName), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting how the backup went: %w", err)
	}
	return nil
}
