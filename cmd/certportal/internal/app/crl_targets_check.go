package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
)

// listFindings tests the folders and LDAP entries that CRLs are copied to. A running
// portal works without them and raises an alert.
func listFindings(ctx context.Context, s *config.Settings) []portal.Finding {
	var findings []portal.Finding
	for i, path := range s.Revocation.Folders {
		f := portal.Finding{What: fmt.Sprintf("revocation.folders[%d]", i), State: portal.FindingOK, Text: path + " takes files"}
		if err := tryFolder(path); err != nil {
			f.State, f.Text, f.Todo = portal.FindingFailed, err.Error(), "copy"
		}
		findings = append(findings, f)
	}
	if s.Revocation.LDAP.URL == "" {
		return findings
	}
	f := portal.Finding{What: "revocation.ldap", State: portal.FindingOK, Text: s.Revocation.LDAP.URL + " has the entries; whether they may be written shows with the next list"}
	if err := tryListEntries(ctx, s); err != nil {
		f.State, f.Text, f.Todo = portal.FindingFailed, err.Error(), "copy"
	}
	return append(findings, f)
}

// tryFolder makes a file and removes it.
func tryFolder(path string) error {
	file, err := os.CreateTemp(path, ".certportal-check-*")
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Remove(filepath.Join(path, filepath.Base(file.Name())))
}

func tryListEntries(ctx context.Context, s *config.Settings) error {
	folder, err := ca.OpenFolder(s.Path("ca"))
	if localca.NotCreated(err) {
		return fmt.Errorf("there is no CA in %s yet: create it with certportal ca init, then check again", s.Path("ca"))
	}
	if err != nil {
		return err
	}
	entries, err := listEntries(s, folder.Signers())
	if err != nil {
		return err
	}
	return entries.Check(ctx)
}
