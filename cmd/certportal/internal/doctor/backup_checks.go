package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"certportal/cmd/certportal/internal/backup"
	"certportal/internal/portal"
)

// oldBackup is the age from which on the last backup is too old, where a timer of the
// operator makes them. Where the portal does, two are missing then.
const oldBackup = 3 * 24 * time.Hour

// checkBackups looks at the last backup of this data folder.
func (d *Doctor) checkBackups(context.Context) []portal.Finding {
	last, err := backup.ReadLast(d.c.Settings.Data)
	if err != nil {
		return []portal.Finding{{What: "backups", State: portal.FindingWarning, Text: err.Error()}}
	}
	limit := oldBackup
	if d.c.Settings.Backup.Folder != "" {
		limit = 2 * d.c.Settings.Backup.Every
	}
	day := func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 UTC") }
	var list []portal.Finding
	switch {
	case last.At.IsZero() && last.Failed.IsZero():
		return []portal.Finding{portal.NewFinding("backups", portal.FindingInfo,
			portal.Say("backups-none", "the portal knows of none: set backup.folder, or let certportal backup run each day; keep files and passphrases on other machines, and try a restore"))}
	case !last.At.IsZero() && d.c.Now().Sub(last.At) > limit:
		list = append(list, portal.NewFinding("backups", portal.FindingWarning, portal.Say("backups-old", "the last was made on %s, %s", day(last.At), last.File)))
	case !last.At.IsZero():
		list = append(list, portal.NewFinding("backups", portal.FindingOK, portal.Say("backups-fine", "the last was made on %s, %s", day(last.At), last.File)))
	}
	if _, err := os.Stat(last.File); errors.Is(err, fs.ErrNotExist) && !last.At.IsZero() {
		list = append(list, portal.NewFinding("backups", gone(last.File, d.c.Settings.Backup.Folder),
			portal.Say("backups-gone", "%s is not there any more: look whether it was moved to another place or is lost", last.File)))
	}
	if !last.Failed.IsZero() {
		list = append(list, portal.NewFinding("backups", portal.FindingWarning, portal.Say("backups-broken", "the one on %s was not made: %s", day(last.Failed), last.Failure)))
	}
	return list
}

// gone is how bad it is that the file of the last backup is not there: the portal leaves those
// of its own folder in it; one of an operator is perhaps on a disk that was taken out.
func gone(file, folder string) portal.FindingState {
	if folder != "" && filepath.Dir(file) == filepath.Clean(folder) {
		return portal.FindingWarning
	}
	return portal.FindingInfo
}
