package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// writableFindings tries whether this account may write where the journal and backups go. The
// folder of the journal is made at the first start, that of backups is not.
func writableFindings(s *config.Settings) []portal.Finding {
	var list []portal.Finding
	try := func(key, folder string, made bool) {
		f := portal.Finding{What: key, State: portal.FindingOK, Text: "this account may write into " + folder}
		file, err := os.CreateTemp(folder, ".certportal-check-*")
		if err == nil {
			err = errors.Join(file.Close(), os.Remove(file.Name()))
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) && made:
			return
		case errors.Is(err, fs.ErrNotExist):
			f.State, f.Text = portal.FindingFailed, fmt.Sprintf("there is no folder %s: make it, for the account of the portal alone", folder)
		case err != nil:
			f.State, f.Text = portal.FindingFailed, fmt.Sprintf("this account cannot write there: give the folder to the account of the portal, and name it in ReadWritePaths of the unit: %v", err)
		}
		list = append(list, f)
	}
	try("revocation.journal", filepath.Dir(s.JournalFile()), true)
	if s.Backup.Folder != "" {
		try("backup.folder", s.Backup.Folder, false)
	}
	return list
}

// serviceUnits is where drop-ins of the installed unit are.
const serviceUnits = "/etc/systemd/system/certportal.service.d"

// serviceTakesPorts reports whether a drop-in gives the service the capability for ports below
// 1024, which a command that checks for it does not have.
func serviceTakesPorts(folder string) bool {
	files, _ := filepath.Glob(filepath.Join(folder, "*.conf")) // the pattern is right
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			value, found := strings.CutPrefix(strings.TrimSpace(line), "AmbientCapabilities=")
			if found && strings.Contains(value, "CAP_NET_BIND_SERVICE") {
				return true
			}
		}
	}
	return false
}
