package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Prune removes all backups of the folder of one that was just made but the newest, of which
// that is one: it stays also where a clock that was wrong gave others a later name. Files
// with other names, and with names of a time to come, stay and do not count.
func Prune(made string, keep int, now time.Time) error {
	folder, last := filepath.Split(made)
	entries, err := os.ReadDir(filepath.Clean(folder))
	if err != nil {
		return fmt.Errorf("looking for old backups: %w", err)
	}
	named := regexp.MustCompile(`^certportal-\d{4}-\d{2}-\d{2}T\d{6}Z\.tar\.age$`)
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && named.MatchString(e.Name()) && e.Name() <= FileName(now) && e.Name() != last {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)+1-keep)] {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("removing an old backup: %w", err)
		}
	}
	return nil
}
