package app

import (
	"context"
	"path/filepath"
	"time"

	"certportal/cmd/certportal/internal/backup"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/store"
)

const (
	// backupLook is how often the portal looks whether a backup is due.
	backupLook = 5 * time.Minute

	// backupAgain is the time after a backup that was not made until the next try.
	backupAgain = time.Hour
)

// BackupSource is what a backup of an installation is made of.
func BackupSource(s *config.Settings, file string, db *store.DB, version string, by audit.Entry) backup.Source {
	return backup.Source{
		DB: db, Data: s.Data, CA: s.Path("ca"), Journal: s.JournalFile(), Settings: file,
		Program: version, Now: time.Now, By: by,
	}
}

// backUp makes a backup when one is due, and removes those that need not be kept.
func (p *App) backUp(ctx context.Context) {
	made, err := p.backUpIfDue(ctx)
	if err != nil && ctx.Err() == nil {
		p.log.Error("making a backup", "err", err)
	}
	if made != "" {
		p.log.Info("backup made", "file", made)
	}
}

func (p *App) backUpIfDue(ctx context.Context) (made string, err error) {
	b := p.Settings.Backup
	last, err := backup.ReadLast(p.Settings.Data)
	if err != nil {
		p.log.Warn("making a backup, as it is unknown when the last was made", "err", err)
	}
	if now := p.Now(); now.Sub(last.At) < b.Every && !last.At.After(now) || now.Sub(last.Failed) < backupAgain && !last.Failed.After(now) {
		return "", nil
	}
	seal := backup.Seal{Recipients: b.Recipients}
	if b.PassphraseFile != "" {
		secret, err := config.ReadSecret(b.PassphraseFile)
		if err != nil {
			return "", err
		}
		seal.Passphrase = string(secret)
	}
	by := audit.Entry{Actor: "system", Role: "system"}
	to := filepath.Join(b.Folder, backup.FileName(p.Now()))
	from := BackupSource(p.Settings, p.SettingsFile, p.DB, p.version, by)
	from.Now = p.Now
	made, _, err = backup.Make(ctx, from, to, seal)
	if err != nil {
		return "", err
	}
	return made, backup.Prune(made, b.Keep, p.Now())
}
