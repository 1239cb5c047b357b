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
func (p Program) BackupSource(s *config.Settings, db *store.DB, by audit.Entry) backup.Source {
	return backup.Source{
		DB: db, Data: s.Data, CA: s.Path("ca"), Journal: s.JournalFile(), Settings: p.SettingsFile,
		Program: p.Version, Now: time.Now, By: by,
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
	seal, err := sealOf(b)
	if err != nil {
		return "", err
	}
	to := filepath.Join(b.Folder, backup.FileName(p.Now()))
	from := p.program.BackupSource(p.Settings, p.DB, bySystem())
	from.Now = p.Now
	made, _, err = backup.Make(ctx, from, to, seal)
	if err != nil {
		return "", err
	}
	return made, backup.Prune(made, b.Keep, p.Now())
}

// bySystem is the actor of backups that the portal makes by itself.
func bySystem() audit.Entry { return audit.Entry{Actor: "system", Role: "system"} }

// sealOf is what the settings encrypt backups to.
func sealOf(b config.BackupSettings) (backup.Seal, error) {
	seal := backup.Seal{Recipients: b.Recipients}
	if b.PassphraseFile != "" {
		secret, err := config.ReadSecret(b.PassphraseFile)
		if err != nil {
			return backup.Seal{}, err
		}
		seal.Passphrase = string(secret)
	}
	return seal, nil
}
