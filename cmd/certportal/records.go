package main

import (
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/store"
)

// withRecords opens the database of an installation, which a portal may be using, and
// calls do with it and the settings.
func (i *invocation) withRecords(do func(*config.Settings, *store.DB) error) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	return do(s, db)
}

// withLine opens the database and the CA with its line of issuing CAs, and closes both.
func (i *invocation) withLine(do func(*config.Settings, *store.DB, *localca.CA) error) error {
	return i.withRecords(func(s *config.Settings, db *store.DB) error {
		a, err := localca.Open(s, nil, i.terminal())
		if err != nil {
			return err
		}
		defer a.Close()
		if err := a.BelongsTo(i.ctx, db); err != nil {
			return err
		}
		if err := a.Follow(i.ctx, db, time.Now, i.quiet(), nil); err != nil {
			return err
		}
		return do(s, db, a)
	})
}
