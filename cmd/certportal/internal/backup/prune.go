package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Prune removes all backups of a folder but the newest. Files with other names stay.
func Prune(folder string, keep int) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("looking for old backups: %w", err)
	}
	made := regexp.MustCompile(`^certportal-\d{4}-\d{2}-\d{2}T\d{6}Z\.tar\.age$`)
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && made.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(0, len(names)-keep)] {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("removing an old backup: %w", err)
		}
	}
	return nil
}
