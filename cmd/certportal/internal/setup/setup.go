// Package setup asks for the settings that a company needs, tries each answer while it
// asks, and writes the settings file, the secrets and what systemd needs besides. Every
// answer can also come with the command line; then nothing is asked.
//
// It writes nothing before the last answer, and never makes a CA: the next step, which it
// prints, does.
package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// Config says where answers come from and where files go. Fields are required unless they
// say otherwise.
type Config struct {
	In  io.Reader // a terminal, or lines for scripts
	Out io.Writer

	// Given are the answers of the command line, by key.
	Given map[string]string

	// AskNothing takes the default where the command line has no answer.
	AskNothing bool

	// Replace allows to replace a settings file that sets more than the data folder.
	Replace bool

	// KeepFailed writes the settings although a check of a server failed.
	KeepFailed bool

	// Drafts is where passwords lie while they are tried. Optional: the folder of temporary
	// files.
	Drafts string

	// Settings is the file to write. Secrets go beside it.
	Settings string

	// Data is the data folder.
	Data string

	// Service is the installed service that these settings are for. Optional.
	Service *Service

	// Check tries one part of the settings.
	Check func(ctx context.Context, s *config.Settings, part string) []portal.Finding
}

// Service is the installed unit of systemd and its account.
type Service struct {
	Account  string
	UID, GID int
	DropIn   string // file to write
}

// ErrStopped is returned when the answers ended before the questions did.
var ErrStopped = errors.New("nothing was written")

// WrongAnswer is an answer of the command line that cannot be used.
type WrongAnswer struct{ Flag, Text string }

// Error names the flag.
func (w WrongAnswer) Error() string { return fmt.Sprintf("--%s: %s", w.Flag, w.Text) }

// MissingAnswers are flags that AskNothing needs and that have no default.
type MissingAnswers struct{ Flags []string }

// Error names the flags.
func (m MissingAnswers) Error() string {
	return "needed with --ask-nothing, and not given: " + strings.Join(m.Flags, ", ")
}

// Run asks, checks and writes.
func Run(ctx context.Context, c Config) error {
	if err := c.mayReplace(); err != nil {
		return err
	}
	drafts, err := os.MkdirTemp(c.Drafts, "certportal-setup-") // of mode 0700
	if err != nil {
		return fmt.Errorf("making a folder for passwords while they are tried: %w", err)
	}
	defer os.RemoveAll(drafts)
	d := newDialogue(ctx, c, drafts)
	for _, topic := range topics(c.Service != nil) {
		if err := d.topic(ctx, topic); err != nil {
			return err
		}
	}
	if len(d.missing) > 0 {
		return MissingAnswers{d.missing}
	}
	if _, err := d.settings(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return d.write()
}

// mayReplace refuses to write over settings that were made before. A file that sets nothing
// but the data folder is the one of the package.
func (c Config) mayReplace() error {
	text, err := os.ReadFile(c.Settings)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for earlier settings: %w", err)
	}
	if c.Replace || onlyData(string(text)) {
		return nil
	}
	return fmt.Errorf("%s has settings already: change it by hand, or give --replace, which keeps it as %s", c.Settings, filepath.Base(c.old()))
}

// old is where the file that was there before goes.
func (c Config) old() string { return c.Settings + ".before-setup" }

// onlyData reports whether a settings file sets nothing but the data folder.
func onlyData(text string) bool {
	return !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
		line = strings.TrimSpace(line)
		return line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "data:")
	})
}
