package app

import (
	"context"
	"fmt"
	"log/slog"

	"certportal/cmd/certportal/internal/backup"
	"certportal/cmd/certportal/internal/config"
	"certportal/store"
)

// Program is the program that opens a database.
type Program struct {
	Version      string
	SettingsFile string // goes into backups; empty: there is none

	// WithoutBackup brings an older schema up to date without a backup of before.
	WithoutBackup bool
}

// backUpBefore makes a backup before the schema changes: in backup.folder, else in the data
// folder, where its key lies beside it as the database does.
func (p Program) backUpBefore(s *config.Settings, log *slog.Logger) func(context.Context, *store.DB, int64) error {
	return func(ctx context.Context, old *store.DB, to int64) error {
		if p.WithoutBackup || !s.Backup.BeforeUpgrade {
			log.Warn("the database is brought up to date without a backup of before", "schema", to)
			return nil
		}
		path, err := p.makeBefore(ctx, s, old, to)
		if err != nil {
			return fmt.Errorf("the database was not changed, because the backup of before could not be made: "+
				"mend that and start again, or go on without with certportal migrate --without-backup: %w", err)
		}
		log.Warn("the database is brought up to date; a backup of before is made", "schema", to, "backup", path)
		return nil
	}
}

func (p Program) makeBefore(ctx context.Context, s *config.Settings, old *store.DB, to int64) (path string, err error) {
	folder, seal := s.Backup.Folder, backup.Seal{}
	if folder == "" {
		folder = s.Data
		seal, err = backup.OwnSeal(s.Data)
	} else {
		seal, err = sealOf(s.Backup)
	}
	if err != nil {
		return "", err
	}
	path, _, err = backup.MakeBefore(ctx, p.BackupSource(s, old, bySystem()), folder, to, seal)
	return path, err
}
