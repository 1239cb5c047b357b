package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"certportal/cmd/certportal/internal/config"
	"certportal/store"
)

// OpenExisting opens an existing database. Commands use it so that a mistyped folder
// is an error and not a new, empty portal.
func OpenExisting(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	if s.Database == "" && s.DatabaseFile == "" {
		if _, err := os.Stat(s.Path("portal.db")); err != nil {
			return nil, fmt.Errorf("there is no portal in %s; name its folder with --data or its settings with --config: %w", s.Data, err)
		}
	}
	return OpenStore(ctx, s, log)
}

// OpenStore opens the database of the settings; the data folder is made for it.
func OpenStore(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	url, err := DatabaseURL(s)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node})
}

// OpenAsIs opens the database of the settings and changes nothing.
func OpenAsIs(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	url, err := DatabaseURL(s)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node, AsIs: true})
}

// DatabaseURL is the address of the database: of the settings, or the file in the data folder.
func DatabaseURL(s *config.Settings) (string, error) {
	url := s.Database
	if s.DatabaseFile != "" {
		secret, err := config.ReadSecret(s.DatabaseFile)
		if err != nil {
			return "", fmt.Errorf("database_file: %w", err)
		}
		url = string(secret)
	}
	if url == "" {
		url = "sqlite:" + s.Path("portal.db")
	}
	return url, nil
}
