package doctor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// checkFiles looks who else on this machine can read secrets or change what the portal
// trusts, and whether the passphrase lies beside the keys that it protects.
func (d *Doctor) checkFiles(context.Context) []portal.Finding {
	var list []portal.Finding
	for _, m := range config.Split(d.c.Settings.CheckPermissions()) {
		f := portal.Finding{What: "files", State: portal.FindingFailed, Text: m.Error()}
		if strings.Contains(m.Text, " is owned by account ") && d.c.Outside != nil {
			f.Todo = todoAccount // the portal itself may run as the owner
		}
		list = append(list, f)
	}
	for _, file := range d.c.Settings.ReadableRecords() {
		list = append(list, portal.NewFinding("files", portal.FindingWarning,
			portal.Say("records-readable", "every account of this machine can read %s, which holds names of people, and password hashes with the built-in directory: chmod 600 %s", file, file)))
	}
	if file := d.passphraseBeside(); file != "" {
		list = append(list, portal.NewFinding("ca.passphrase_file", portal.FindingWarning,
			portal.Say("passphrase-beside", "%s lies beside the keys that it opens: a copy of the data folder is a copy of the authority. Move it elsewhere, or use a systemd credential", file)))
	}
	if len(list) == 0 {
		list = append(list, portal.NewFinding("files", portal.FindingOK, portal.Say("files-fine", "no other account reads secrets or changes what the portal trusts")))
	}
	return list
}

// passphraseBeside is the passphrase file in the data folder, if that one opens the keys;
// empty otherwise.
func (d *Doctor) passphraseBeside() string {
	s := d.c.Settings
	file := s.CA.PassphraseFile
	if file == "" && os.Getenv("CREDENTIALS_DIRECTORY") == "" {
		file = s.DefaultPassphraseFile()
	}
	if file == "" || file == config.Prompt {
		return ""
	}
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	inside, err := filepath.Rel(s.Data, file)
	if err != nil || strings.HasPrefix(inside, "..") {
		return ""
	}
	return file
}

// withoutPermissions leaves out the mistakes that checkFiles reports.
func withoutPermissions(s *config.Settings, mistakes []config.Mistake) []config.Mistake {
	open := config.Split(s.CheckPermissions())
	return slices.DeleteFunc(slices.Clone(mistakes), func(m config.Mistake) bool {
		return slices.ContainsFunc(open, func(o config.Mistake) bool { return o.Key == m.Key && o.Text == m.Text })
	})
}
